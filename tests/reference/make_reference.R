# Answers of R that Osler's tests are held against. Run from this folder: Rscript make_reference.R
# Needs R packages survival, riskRegression, prodlim, etm, jsonlite. Writes nonparametric.json, score.json and further.json.
suppressMessages({
  library(survival); library(prodlim); library(riskRegression); library(etm); library(jsonlite)
})
source("common.R")

cases <- list(
  single = cohort(1, 160, c(2, 14), FALSE),
  single_tied = cohort(2, 160, c(2, 14), FALSE, round = TRUE),
  single_heavy = cohort(3, 240, c(0, 7), FALSE),
  competing = cohort(4, 160, c(2, 14), TRUE),
  competing_tied = cohort(5, 200, c(2, 14), TRUE, round = TRUE),
  competing_heavy = cohort(6, 240, c(0, 7), TRUE)
)
times <- c(1.25, 2.75, 4.25, 5.75)  # between the half years on which ties lie
grid <- c(0, 0.5, 1.25, 2, 2.75, 3.5, 4.25, 5, 5.75)

at_step <- function(x, y, at, start, left = FALSE) {
  c(start, y)[findInterval(at, x, left.open = left) + 1]
}

nonparametric <- function(case) {
  d <- data.frame(time = case$time, event = case$event)
  any <- survfit(Surv(time, event > 0) ~ 1, data = d)
  free <- summary(any, times = grid, extend = TRUE)
  # Reverse Kaplan-Meier, in which events come before censorings.
  censoring <- prodlim(Hist(time, event > 0) ~ 1, data = d, reverse = TRUE)
  answer <- list(
    time = d$time, event = d$event, grid = grid,
    free = free$surv, free_se = free$std.err, at_risk = free$n.risk,
    censoring = as.numeric(predict(censoring, times = grid)),
    censoring_left = at_step(censoring$time, censoring$surv, grid, 1, left = TRUE)
  )
  if (any(d$event == 2)) {
    multi <- summary(survfit(Surv(time, factor(event, 0:2)) ~ 1, data = d), times = grid, extend = TRUE)
    answer$incidence <- t(multi$pstate[, 2:3])
    answer$incidence_jackknife_se <- t(multi$std.err[, 2:3])
    # etm wants one row per transition and takes censorings at the time of an event as later, like the others.
    moves <- data.frame(id = seq_len(nrow(d)), from = 0, to = ifelse(d$event == 0, "cens", d$event), time = d$time)
    possible <- matrix(FALSE, 3, 3); possible[1, 2:3] <- TRUE
    fit <- etm(moves, c("0", "1", "2"), possible, "cens", s = 0, covariance = TRUE)
    answer$incidence_se <- rbind(
      at_step(fit$time, sqrt(fit$cov["0 1", "0 1", ]), grid, 0),
      at_step(fit$time, sqrt(fit$cov["0 2", "0 2", ]), grid, 0)
    )
  }
  answer
}

score <- function(case) {
  d <- data.frame(time = case$time, event = case$event)
  risk <- function(x) round(1 - exp(-outer(exp(0.8 * x) / 9, times)), 2)
  models <- list(known = risk(case$x), noisy = risk(case$noisy))
  formula <- if (any(d$event == 2)) Hist(time, event) ~ 1 else Surv(time, event) ~ 1
  found <- Score(models, formula = formula, data = d, times = times, cause = 1, cens.model = "km",
                 metrics = c("auc", "brier"), summary = "ipa", se.fit = TRUE, conf.int = 0.95, keep = "vcov")
  by <- function(table, column, name) {
    lapply(split(as.data.frame(table), as.character(table[[name]])), function(part) part[order(part$times), column])
  }
  brier <- found$Brier$score
  pair <- function(table, column) {
    part <- as.data.frame(table); part <- part[part$model == "noisy" & part$reference == "known", ]
    part[order(part$times), column]
  }
  # Integrated Brier score by the trapezoid rule from 0 (where it is 0) to the last time, over that time; and the error
  # of what is derived from Brier scores, by the delta method on the covariance of all of them.
  weight <- (diff(c(0, times)) + c(diff(times), 0)) / 2 / max(times)
  covariance <- found$Brier$vcov
  derived <- function(k) {
    value <- by(brier, "Brier", "model")
    column <- function(m) sapply(times, function(t) sprintf("model=%d, times=%s", m, t))
    own <- column(k); null <- column(0)
    ratio <- value[[names(models)[k]]] / value[["Null model"]]
    ipa_se <- sapply(seq_along(times), function(i) {
      slope <- c(-1, ratio[i]) / value[["Null model"]][i]
      both <- c(own[i], null[i])
      sqrt(as.numeric(t(slope) %*% covariance[both, both] %*% slope))
    })
    list(ibs = sum(weight * value[[names(models)[k]]]),
         ibs_se = sqrt(as.numeric(t(weight) %*% covariance[own, own] %*% weight)), ipa_se = ipa_se)
  }
  list(
    time = d$time, event = d$event, times = times, risks = models,
    derived = setNames(lapply(1:2, derived), names(models)),
    auc = by(found$AUC$score, "AUC", "model"), auc_se = by(found$AUC$score, "se", "model"),
    auc_lower = by(found$AUC$score, "lower", "model"),
    brier = by(brier, "Brier", "model"), brier_se = by(brier, "se", "model"),
    brier_upper = by(brier, "upper", "model"),
    ipa = by(brier, "IPA", "model"),
    auc_difference = pair(found$AUC$contrasts, "delta.AUC"), auc_difference_se = pair(found$AUC$contrasts, "se"),
    brier_difference = pair(found$Brier$contrasts, "delta.Brier"),
    brier_difference_se = pair(found$Brier$contrasts, "se")
  )
}

# C-index with survival's weights; intercept and slope by weighted logistic regression with Score's weights.
further <- function(case) {
  d <- data.frame(time = case$time, event = case$event)
  models <- list(known = round(case$x, 1), noisy = round(case$noisy, 1))
  answer <- list(time = d$time, event = d$event, times = times, predictors = models)
  if (!any(d$event == 2)) {
    for (kind in list(c("harrell", "n"), c("uno", "n/G2"))) {
      answer[[kind[1]]] <- lapply(models, function(m) sapply(times, function(t) {
        unname(concordance(Surv(time, event) ~ m, data = d, timewt = kind[2], ymax = t, reverse = TRUE)$concordance)
      }))
    }
  }
  G <- prodlim(Hist(time, event > 0) ~ 1, data = d, reverse = TRUE)
  fits <- lapply(models, function(m) lapply(times, function(t) {
    weight <- ifelse(d$time <= t & d$event > 0, 1 / at_step(G$time, G$surv, d$time, 1, left = TRUE),
                     ifelse(d$time > t, 1 / at_step(G$time, G$surv, t, 1), 0))
    y <- as.numeric(d$time <= t & d$event == 1)
    lp <- 0.8 * m - 1
    slope <- glm(y ~ lp, weights = weight, family = quasibinomial(), control = list(epsilon = 1e-14))
    intercept <- glm(y ~ offset(lp), weights = weight, family = quasibinomial(), control = list(epsilon = 1e-14))
    list(slope = unname(coef(slope)[2]), intercept = unname(coef(intercept)[1]))
  }))
  answer$slope <- lapply(fits, function(f) sapply(f, `[[`, "slope"))
  answer$intercept <- lapply(fits, function(f) sapply(f, `[[`, "intercept"))
  answer
}

write(list(versions = versions("survival", "prodlim", "etm"), cases = lapply(cases, nonparametric)), "nonparametric.json")
write(list(versions = versions("riskRegression", "prodlim"), cases = lapply(cases, score)), "score.json")
write(list(versions = versions("survival", "prodlim"), cases = lapply(cases, further)), "further.json")
