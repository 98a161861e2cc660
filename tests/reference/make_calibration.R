# Answers of R for smooth calibration and Royston's D. Run from this folder: Rscript make_calibration.R
# Needs R packages survival, Hmisc, jsonlite. Writes calibration.json.
suppressMessages({
  library(survival); library(Hmisc); library(jsonlite)
})
source("common.R")

# Predicted risks: from x, and from x through noise, rounded so that some are equal.
predicted <- function(...) {
  d <- cohort(...)
  risk <- function(x, digits) round(1 - exp(-exp(0.8 * x) * 4 / 9), digits)
  list(time = d$time, event = d$event, risks = list(known = risk(d$x, 6), noisy = risk(d$noisy, 2)))
}

cases <- list(
  single = predicted(21, 160, c(2, 14), FALSE),
  single_tied = predicted(22, 160, c(2, 14), FALSE, round = TRUE),
  single_heavy = predicted(23, 200, c(0, 7), FALSE),
  competing = predicted(24, 160, c(2, 14), TRUE),
  competing_tied = predicted(25, 160, c(2, 14), TRUE, round = TRUE),
  competing_heavy = predicted(26, 200, c(0, 7), TRUE)
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
write(content, "calibration.json")
