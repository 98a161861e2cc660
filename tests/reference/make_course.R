# Answers of R for the random intercept and slope, and for what it foresees. Run from this folder: Rscript make_course.R
# Needs R packages nlme, jsonlite. Writes course.json.
suppressMessages({ library(nlme); library(jsonlite) })
source("common.R")

# Measurements of n patients at irregular times; of `few` patients only one.
drawn <- function(seed, n, correlation, noise) {
  set.seed(seed)
  visits <- sample(1:7, n, TRUE)
  id <- rep(seq_len(n), visits)
  level <- rnorm(n)
  slope <- 0.2 * (correlation * level + sqrt(1 - correlation^2) * rnorm(n)) - 0.1
  time <- round(unlist(lapply(visits, function(k) sort(runif(k, 0, 8)))), 4)
  data.frame(id = id, time = time, z = round(0.5 + level[id] + slope[id] * time + noise * rnorm(length(id)), 6))
}

answer <- function(d) {
  fit <- lme(z ~ time, random = ~ time | id, data = d, method = "ML",
             control = lmeControl(opt = "optim", reltol = 1e-14, maxIter = 500, msMaxIter = 2000, msTol = 1e-12, tolerance = 1e-10))
  list(id = d$id, time = d$time, z = d$z, mean = unname(fixef(fit)), covariance = matrix(as.numeric(getVarCov(fit)), 2),
       noise = fit$sigma^2, log_likelihood = as.numeric(logLik(fit)), own = unname(as.matrix(coef(fit))))
}

write(list(versions = versions("nlme"),
           cases = list(plain = answer(drawn(1, 80, 0, 0.5)), correlated = answer(drawn(2, 120, 0.6, 0.3)),
                        noisy = answer(drawn(3, 150, -0.4, 1)))), "course.json")
