# Answers of R for net benefit, Holm's p-values and simultaneous critical values. Run from this folder:
# Rscript make_utility.R
# Needs R packages survival, prodlim, cmprsk, riskRegression, mvtnorm, jsonlite. Writes utility.json.
suppressMessages({
  library(survival); library(prodlim); library(cmprsk); library(riskRegression); library(mvtnorm); library(jsonlite)
})
source("common.R")

cases <- list(
  single = cohort(11, 160, c(2, 14), FALSE),
  single_tied = cohort(12, 160, c(2, 14), FALSE, round = TRUE),
  competing = cohort(14, 160, c(2, 14), TRUE),
  competing_tied = cohort(15, 200, c(2, 14), TRUE, round = TRUE),
  competing_heavy = cohort(16, 240, c(0, 7), TRUE),
  uncensored = cohort(17, 160, c(8, 14), TRUE)
)
times <- c(2.75, 5.75)  # between the half years on which ties lie
thresholds <- c(0.1, 0.25, 0.4)

at_step <- function(x, y, at, start, left = FALSE) c(start, y)[findInterval(at, x, left.open = left) + 1]

# Weighted by inverse probability of censoring; every patient counts 1 for a case that is treated, the odds lost for
# anybody else who is.
weighted <- function(d, acted, t, threshold) {
  G <- prodlim(Hist(time, event > 0) ~ 1, data = d, reverse = TRUE)
  weight <- ifelse(d$time <= t & d$event > 0, 1 / at_step(G$time, G$surv, d$time, 1, left = TRUE),
                   ifelse(d$time > t, 1 / at_step(G$time, G$surv, t, 1), 0))
  case <- d$time <= t & d$event == 1
  mean(weight * acted * ifelse(case, 1, -threshold / (1 - threshold)))
}

# Its standard error, from riskRegression's covariance of Brier scores. With a = 0 or 1 for acted, the scores of the
# "risks" 0, a and a / 2 are means of w c, w (c + a - 2 c a) and w (c - c a + a / 4) for a case c and a weight w: the
# means of w a and w c a, of which net benefit is made, are linear in the three.
weighted_se <- function(d, acted, t, threshold) {
  a <- as.numeric(acted)
  formula <- if (any(d$event == 2)) Hist(time, event) ~ 1 else Surv(time, event) ~ 1
  found <- Score(list(whole = cbind(a), half = cbind(a / 2), none = cbind(0 * a)), formula = formula, data = d, times = t,
                 cause = 1, cens.model = "km", metrics = c("auc", "brier"), se.fit = TRUE, null.model = FALSE, keep = "vcov")
  covariance <- found$Brier$vcov
  name <- function(k) sprintf("model=%d, times=%s", k, t)
  both <- c(2, -4, 2)  # w a, of the scores of a, a / 2 and 0
  true <- c(1, -4, 3) / 2
  slope <- true - threshold / (1 - threshold) * (both - true)
  rows <- sapply(1:3, name)
  score <- found$Brier$score$Brier
  list(value = sum(slope * score), se = sqrt(as.numeric(t(slope) %*% covariance[rows, rows] %*% slope)))
}

# Vickers 2008: the incidence among those who would be treated, by Kaplan-Meier or (competing events) Aalen-Johansen.
among_treated <- function(d, acted, t, threshold) {
  part <- d[acted, ]
  if (!nrow(part)) return(0)
  incidence <- if (any(part$event == 2)) {
    timepoints(cuminc(part$time, part$event, cencode = 0), t)$est["1 1", 1]
  } else {
    1 - summary(survfit(Surv(time, event) ~ 1, data = part), times = t, extend = TRUE)$surv
  }
  mean(acted) * (incidence - (1 - incidence) * threshold / (1 - threshold))
}

utility <- function(case) {
  d <- data.frame(time = case$time, event = case$event)
  risk <- function(x) round(1 - exp(-outer(exp(0.8 * x) / 9, times)), 2)
  models <- list(known = risk(case$x), noisy = risk(case$noisy), all = matrix(1, nrow(d), length(times)))
  each <- function(f) lapply(models, function(m) sapply(thresholds, function(threshold) {
    sapply(seq_along(times), function(i) f(d, m[, i] >= threshold, times[i], threshold))
  }))  # rows are times, columns thresholds
  by_score <- function(what) each(function(...) weighted_se(...)[[what]])
  list(time = d$time, event = d$event, times = times, thresholds = thresholds, risks = models[c("known", "noisy")],
       value = each(weighted), by_score = by_score("value"), se = by_score("se"), among_treated = each(among_treated))
}

holm <- lapply(list(
  c(0.01, 0.04, 0.03, 0.005), c(0.5, 0.5, 0.01, 0.01, 0.9), c(0.02, NA, 0.3, 0.02, NA, 1e-12), 0.2, c(NA, NA)
), function(p) list(p = p, adjusted = p.adjust(p, "holm")))

exchangeable <- function(d, r) { m <- matrix(r, d, d); diag(m) <- 1; m }
fading <- function(d, r) r^abs(outer(seq_len(d), seq_len(d), "-"))
correlations <- list(
  three = exchangeable(3, 0.5), ten = exchangeable(10, 0.3), five = fading(5, 0.7), twenty = fading(20, 0.9),
  opposite = matrix(c(1, -0.8, 0.3, -0.8, 1, -0.2, 0.3, -0.2, 1), 3), pair = exchangeable(2, 0.7)
)
# The quantile by root finding on pmvnorm with the same seed at every bound.
largest <- function(R, level) {
  chance <- function(bound) {
    set.seed(1)
    pmvnorm(rep(-bound, nrow(R)), rep(bound, nrow(R)), corr = R,
            algorithm = GenzBretz(maxpts = 500000, abseps = 2e-6, releps = 0))[1]
  }
  uniroot(function(bound) chance(bound) - level, c(1, 5), tol = 1e-7)$root
}
critical <- lapply(correlations, function(R) {
  list(correlation = R, levels = c(0.9, 0.95), values = sapply(c(0.9, 0.95), function(level) largest(R, level)))
})

write(list(versions = versions("survival", "prodlim", "cmprsk", "riskRegression", "mvtnorm"),
           cases = lapply(cases, utility), holm = holm, critical = critical), "utility.json")
