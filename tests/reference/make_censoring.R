# Answers of R for weights of censoring that depends on the patients. Run from this folder: Rscript make_censoring.R
# Needs R packages survival, riskRegression, prodlim, jsonlite. Writes censoring.json.
suppressMessages({
  library(survival); library(prodlim); library(riskRegression); library(jsonlite)
})
source("common.R")

# Events and censorings that both depend on x1 and x2; `round` makes ties of events and censorings.
cohort <- function(seed, n, competing, round = FALSE) {
  set.seed(seed)
  x1 <- round(rnorm(n), 4); x2 <- rbinom(n, 1, 0.4)
  first <- rexp(n, exp(0.8 * x1) / 8)
  second <- if (competing) rexp(n, exp(0.3 * x1) / 14) else rep(Inf, n)
  out <- pmin(rexp(n, exp(0.7 * x1 - 0.5 * x2) / 9), runif(n, 6, 12))
  time <- pmin(first, second, out)
  event <- ifelse(out <= pmin(first, second), 0, ifelse(first <= second, 1, 2))
  time <- if (round) ceiling(time * 2) / 2 else round(time, 6)
  group <- as.integer(cut(x1, c(-Inf, -0.5, 0.5, Inf)))
  list(time = time, event = event, x1 = x1, x2 = x2, group = group, noisy = round(x1 + rnorm(n), 4))
}

cases <- list(
  single = cohort(11, 180, FALSE),
  single_tied = cohort(12, 180, FALSE, round = TRUE),
  competing = cohort(13, 240, TRUE),
  competing_tied = cohort(14, 240, TRUE, round = TRUE)
)
times <- c(1.25, 2.75, 4.25)  # between the half years on which ties lie

at_step <- function(x, y, at, start) c(start, y)[findInterval(at, x, left.open = TRUE) + 1]

frame <- function(case) data.frame(time = case$time, event = case$event, x1 = case$x1, x2 = case$x2, group = case$group)

models <- function(case) {
  risk <- function(x) round(1 - exp(-outer(exp(0.8 * x) / 9, times)), 2)
  list(known = risk(case$x1), noisy = risk(case$noisy))
}

by <- function(table, column) {
  lapply(split(as.data.frame(table), as.character(table$model)), function(part) part[order(part$times), column])
}

scores <- function(d, risks, covariates, cens_model) {
  event <- if (any(d$event == 2)) "Hist(time, event)" else "Surv(time, event)"
  found <- Score(risks, formula = as.formula(paste(event, "~", covariates)), data = d, times = times, cause = 1,
                 cens.model = cens_model, metrics = c("auc", "brier"), null.model = FALSE, se.fit = TRUE)
  list(brier = by(found$Brier$score, "Brier"), brier_se = by(found$Brier$score, "se"),
       auc = by(found$AUC$score, "AUC"), auc_se = by(found$AUC$score, "se"))
}

# A Cox model of the censoring, in which events come just before the censorings of the same time: the censored of a time
# take a place of their own on the axis, after it.
cox <- function(d) {
  place <- match(d$time, sort(unique(d$time)))
  d$place <- 2 * place + (d$event == 0)
  fit <- coxph(Surv(place, event == 0) ~ x1 + x2, data = d, ties = "efron",
               control = coxph.control(eps = 1e-14, toler.chol = 1e-15, toler.inf = 1e-9, iter.max = 60))
  base <- basehaz(fit, centered = FALSE)
  relative <- exp(as.numeric(as.matrix(d[, c("x1", "x2")]) %*% coef(fit)))
  G <- function(at) exp(-relative * at_step(base$time, base$hazard, at, 0))
  list(coefficients = unname(coef(fit)), own = G(2 * place),
       at = lapply(times, function(t) G(2 * sum(sort(unique(d$time)) < t) + 2)))
}

# Reverse Kaplan-Meier within groups, in which events come before censorings.
grouped <- function(d) {
  own <- numeric(nrow(d)); at <- matrix(0, length(times), nrow(d))
  for (g in unique(d$group)) {
    members <- d$group == g
    fit <- prodlim(Hist(time, event > 0) ~ 1, data = d[members, ], reverse = TRUE)
    own[members] <- at_step(fit$time, fit$surv, d$time[members], 1)
    at[, members] <- at_step(fit$time, fit$surv, times, 1)
  }
  list(own = own, at = lapply(seq_along(times), function(i) at[i, ]))
}

# prodlim's own stratified estimate (T, groups).
stratified <- function(d) {
  fit <- prodlim(Hist(time, event > 0) ~ group, data = transform(d, group = factor(group)), reverse = TRUE)
  sapply(sort(unique(d$group)), function(g) {
    as.numeric(unlist(predict(fit, newdata = data.frame(group = factor(g)), times = times, type = "surv")))
  })
}

answer <- function(case) {
  d <- frame(case); risks <- models(case); tied <- any(duplicated(d$time))
  out <- c(case[c("time", "event", "x1", "x2", "group")],
           list(times = times, risks = risks, cox = cox(d), grouped = grouped(d), prodlim = stratified(d)))
  if (!tied) out$score <- scores(d, risks, "x1 + x2", "cox")
  # Score within each group alone: its parts make up the stratified estimate.
  out$parts <- lapply(sort(unique(d$group)), function(g) {
    members <- d$group == g
    c(list(group = g, n = sum(members)),
      scores(d[members, ], lapply(risks, function(r) r[members, , drop = FALSE]), "1", "km"))
  })
  out
}

content <- list(versions = versions("survival", "riskRegression", "prodlim"), cases = lapply(cases, answer))
write(content, "censoring.json", digits = 14)
