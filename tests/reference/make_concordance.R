# Answers of R for concordance. Run from this folder: Rscript make_concordance.R
# Needs R packages survival, prodlim, pec, jsonlite. Writes concordance.json.
suppressMessages({
  library(survival); library(prodlim); library(pec); library(jsonlite)
})
source("common.R")

# Outcomes whose risk depends on x, with a competing event or not; two groups that are censored at different rates.
# `coarse` makes ties of times and risks.
cohort <- function(seed, n, ends, competing, coarse = FALSE) {
  set.seed(seed)
  x <- rnorm(n)
  group <- rbinom(n, 1, 0.4)
  first <- rexp(n, exp(0.8 * x) / 8)
  second <- if (competing) rexp(n, exp(0.3 * x) / 14) else rep(Inf, n)
  out <- runif(n, ends[1], ends[2]) * ifelse(group == 1, 0.6, 1)
  time <- pmin(first, second, out)
  event <- ifelse(out <= pmin(first, second), 0, ifelse(first <= second, 1, 2))
  time <- if (coarse) ceiling(time * 2) / 2 else round(time, 6)
  list(time = time, event = event, group = group, known = round(x, if (coarse) 1 else 6),
       noisy = round(x + rnorm(n), if (coarse) 1 else 6))
}

cases <- list(
  single = cohort(11, 150, c(2, 14), FALSE),
  single_tied = cohort(12, 150, c(2, 14), FALSE, coarse = TRUE),
  competing = cohort(13, 180, c(2, 14), TRUE),
  competing_tied = cohort(14, 180, c(2, 14), TRUE, coarse = TRUE)
)
times <- c(2.75, 4.25, 5.75)
models <- c("known", "noisy")

# Those with a competing event never have the event of interest: they stay to the end.
outlasting <- function(case) {
  rival <- case$event == 2
  data.frame(id = seq_along(case$time), time = ifelse(rival, 99, case$time), event = as.numeric(case$event == 1))
}

# Harrell's C and its infinitesimal jackknife error.
harrell <- function(case) {
  d <- outlasting(case)
  ask <- function(m, ...) {
    found <- concordance(Surv(d$time, d$event) ~ case[[m]], reverse = TRUE, ...)
    c(unname(found$concordance), sqrt(found$var))
  }
  sapply(models, function(m) {
    at <- sapply(times, function(t) ask(m, ymax = t))
    list(value = at[1, ], se = at[2, ], whole = ask(m)[1])
  }, simplify = FALSE)
}

# Curves that cross: in one group the risk starts later and grows faster. The tests have the same formula.
curve <- function(x, at, group) {
  1 - exp(-outer(exp(0.8 * x), at / 9)^matrix(1 + 0.5 * group, length(x), length(at)))
}

# Antolini's C: at every time of an event, everybody still free by the risk by that time. survival takes risks that change
# with time as rows from one event to the next; rows of one patient are one cluster.
antolini <- function(case) {
  d <- outlasting(case)
  moments <- sort(unique(case$time[case$event == 1]))
  long <- survSplit(Surv(time, event) ~ id, data = d, cut = moments, episode = "stage")
  stage <- pmin(long$stage, length(moments))
  sapply(models, function(m) {
    long$risk <- curve(case[[m]], moments, case$group)[cbind(long$id, stage)]
    at <- sapply(times, function(t) {
      found <- concordance(Surv(tstart, time, event) ~ risk, data = long, reverse = TRUE, ymax = t, cluster = id)
      c(unname(found$concordance), sqrt(found$var))
    })
    list(value = at[1, ], se = at[2, ])
  }, simplify = FALSE)
}

# The C-index with weights 1/(G(T_i-) G(T_i-)), or those of each patient's own group.
weighted <- function(case, cens.model) {
  d <- data.frame(time = case$time, event = case$event, group = factor(case$group))
  risks <- lapply(models, function(m) matrix(rep(case[[m]], length(times)), ncol = length(times)))
  names(risks) <- models
  formula <- if (cens.model == "marginal") Hist(time, event) ~ 1 else Hist(time, event) ~ group
  if (!any(d$event == 2)) risks <- lapply(risks, function(r) -r)  # pec takes survival probabilities there
  found <- cindex(risks, formula = formula, data = d, eval.times = times, cens.model = cens.model, cause = 1,
                  verbose = FALSE)
  found$AppCindex
}

answer <- function(name) {
  case <- cases[[name]]
  found <- c(case, list(times = times, harrell = harrell(case), antolini = antolini(case),
                        moments = sort(unique(case$time[case$event == 1]))))
  if (!grepl("tied", name)) {  # where times are tied pec has conventions of its own
    found$marginal <- weighted(case, "marginal")
    found$grouped <- weighted(case, "nonpar")
  }
  found
}

found <- setNames(lapply(names(cases), answer), names(cases))
write(list(versions = versions("survival", "prodlim", "pec"), cases = found), "concordance.json")
