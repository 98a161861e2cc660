# Answers of R for smooth calibration and Royston's D. Run from this folder: Rscript make_calibration.R
# Needs R packages survival, Hmisc, jsonlite. Writes calibration.json.
suppressMessages({
  library(survival); library(Hmisc); library(jsonlite)
})

versions <- function(...) {
  packages <- c(...)
  c(list(R = paste(R.version$major, R.version$minor, sep = ".")),
    setNames(lapply(packages, function(p) as.character(packageVersion(p))), packages))
}

# Outcomes whose risk depends on x. `ends` are the earliest and the latest end of follow-up; `tied` makes ties of
# events and censorings. Predicted risks: from x, and from x through noise, rounded so that some are equal.
cohort <- function(seed, n, ends, competing, tied = FALSE) {
  set.seed(seed)
  x <- rnorm(n)
  first <- rexp(n, exp(0.8 * x) / 8)
  second <- if (competing) rexp(n, exp(0.3 * x) / 14) else rep(Inf, n)
  out <- runif(n, ends[1], ends[2])
  time <- pmin(first, second, out)
  event <- ifelse(out <= pmin(first, second), 0, ifelse(first <= second, 1, 2))
  time <- if (tied) ceiling(time * 2) / 2 else round(time, 6)
  risk <- function(x, digits) round(1 - exp(-exp(0.8 * x) * 4 / 9), digits)
  list(time = time, event = event, risks = list(known = risk(x, 6), noisy = risk(x + rnorm(n), 2)))
}

cases <- list(
  single = cohort(21, 160, c(2, 14), FALSE),
  single_tied = cohort(22, 160, c(2, 14), FALSE, tied = TRUE),
  single_heavy = cohort(23, 200, c(0, 7), FALSE),
  competing = cohort(24, 160, c(2, 14), TRUE),
  competing_tied = cohort(25, 160, c(2, 14), TRUE, tied = TRUE),
  competing_heavy = cohort(26, 200, c(0, 7), TRUE)
)
horizons <- c(1.25, 4)  # fewer than 30 events until the first; ties at the second

pseudo_values <- function(d, horizon) {
  state <- if (any(d$event == 2)) factor(d$event, 0:2) else factor(d$event, 0:1)
  outcomes <<- data.frame(time = d$time, state = state, id = seq_along(d$time))  # pseudo() looks for it by name
  fit <- survfit(Surv(time, state) ~ 1, data = outcomes, id = id)
  values <- pseudo(fit, times = horizon, type = "pstate")
  as.numeric(values[, 2])  # the first state is that of being free of events
}

smooth <- function(d, risk, horizon, y) {
  cases <- sum(d$time <= horizon & d$event == 1)
  known <- sum((d$time <= horizon & d$event == 2) | d$time > horizon | (d$time == horizon & d$event == 0))
  rarer <- min(cases, known)
  knots <- if (rarer >= 30) quantile(risk, c(0.05, 0.35, 0.65, 0.95)) else quantile(risk, c(0.1, 0.5, 0.9))
  basis <- rcspline.eval(risk, knots = unname(knots), inclx = TRUE)
  fitted <- pmin(pmax(unname(fitted(lm(y ~ basis))), 0), 1)
  gap <- abs(risk - fitted)
  list(knots = unname(knots), fitted = fitted, ici = mean(gap), e50 = unname(quantile(gap, 0.5)), e90 = unname(quantile(gap, 0.9)))
}

separation <- function(d, risk, horizon) {
  time <- pmin(d$time, horizon); event <- as.numeric(d$event == 1 & d$time <= horizon)
  fit <- coxph(Surv(time, event) ~ risk)
  stopifnot(coef(fit) > 0)  # survival::royston orders patients by the linear predictor
  found <- royston(fit)
  # The same rankits again, scaled, for the robust error of D.
  n <- length(risk)
  z <- ave(qnorm((rank(risk, ties.method = "first") - 3 / 8) / (n + 0.25)), risk) / sqrt(8 / pi)
  robust <- coxph(Surv(time, event) ~ z, robust = TRUE, cluster = seq_len(n), control = coxph.control(eps = 1e-12, toler.chol = 1e-13, iter.max = 50))
  list(d = unname(found["D"]), d_se = unname(found["se(D)"]), r2 = unname(found["R.D"]),
       coefficient = unname(coef(robust)), robust_se = sqrt(robust$var[1, 1]))
}

answer <- function(d) {
  list(time = d$time, event = d$event, risks = d$risks, horizons = horizons,
       at = lapply(horizons, function(h) {
         y <- pseudo_values(d, h)
         list(pseudo = y, smooth = lapply(d$risks, function(r) smooth(d, r, h, y)),
              royston = lapply(d$risks, function(r) separation(d, r, h)))
       }))
}

content <- list(versions = versions("survival", "Hmisc"), cases = lapply(cases, answer))
writeLines(toJSON(content, digits = 12, auto_unbox = TRUE, na = "null", pretty = FALSE), "calibration.json")
