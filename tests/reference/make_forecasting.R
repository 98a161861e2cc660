# Answers of R for scores of forecasts. Run from this folder: Rscript make_forecasting.R
# Needs R packages sandwich, jsonlite. Writes forecasting.json.
suppressMessages({ library(sandwich); library(jsonlite) })
source("common.R")

set.seed(7)
patients <- 60
rows <- sample(1:9, patients, TRUE)
patient <- rep(seq_len(patients), rows)
n <- length(patient)
variable <- sample(c("a", "b"), n, TRUE, c(0.7, 0.3))
observed <- round(rnorm(patients)[patient] + 0.7 * rnorm(n), 6)
method <- function(shift, width) {
  expected <- round(0.6 * observed + shift + 0.5 * rnorm(n), 6)
  half <- round(width * exp(0.3 * rnorm(n)), 6)
  list(expected = expected, lower = expected - half, upper = expected + half)
}
methods <- list(narrow = method(0.1, 0.7), wide = method(-0.2, 1.6))
level <- 0.9

# The continuous ranked probability score from its definition: the integral of (F(x) - 1{y <= x})^2.
crps <- function(y, mean, sd) mapply(function(y, m, s) {
  below <- integrate(function(x) pnorm(x, m, s)^2, -Inf, y, rel.tol = 1e-11, abs.tol = 0)$value
  below + integrate(function(x) pnorm(x, m, s, lower.tail = FALSE)^2, y, Inf, rel.tol = 1e-11, abs.tol = 0)$value
}, y, mean, sd)

each <- function(f) {
  a <- 1 - level
  data.frame(
    interval_score = f$upper - f$lower + 2 / a * (f$lower - observed) * (observed < f$lower) +
      2 / a * (observed - f$upper) * (observed > f$upper),
    coverage = as.numeric(observed >= f$lower & observed <= f$upper), width = f$upper - f$lower,
    mse = (observed - f$expected)^2, mae = abs(observed - f$expected),
    crps = crps(observed, f$expected, (f$upper - f$lower) / (2 * qnorm(0.95))))
}
# A mean and its error with patients as clusters; the root of a mean by the delta method.
clustered <- function(score, who) {
  fit <- lm(score ~ 1)
  c(unname(coef(fit)), sqrt(vcovCL(fit, cluster = who, type = "HC0", cadjust = TRUE)[1, 1]))
}
of_rows <- function(rows) lapply(methods, function(f) {
  scores <- each(f)[rows, ]
  found <- lapply(scores, clustered, who = patient[rows])
  root <- sqrt(found$mse[1])
  found$rmse <- c(root, found$mse[2] / (2 * root))
  found[names(found) != "mse"]
})
difference <- function(rows) clustered((each(methods$narrow)$interval_score - each(methods$wide)$interval_score)[rows], patient[rows])

write(list(versions = versions("sandwich"), patient = patient, variable = variable, observed = observed, methods = methods,
           level = level, scores = list(a = of_rows(variable == "a"), b = of_rows(variable == "b")),
           difference = list(a = difference(variable == "a"), b = difference(variable == "b"))), "forecasting.json")
