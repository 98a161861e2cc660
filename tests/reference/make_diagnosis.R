# Answers of R for classes: AUC with DeLong's errors, Hand and Till's AUC, and class shares by maximum likelihood. Run from
# this folder: Rscript make_diagnosis.R
# Needs R packages pROC, jsonlite. Writes diagnosis.json.
suppressMessages({
  library(pROC); library(jsonlite)
})
source("common.R")

# Probabilities of classes, and classes drawn from sharper ones; rounding makes ties.
classes <- function(seed, n, C, round = FALSE) {
  set.seed(seed)
  z <- matrix(rnorm(n * C), n)
  p <- exp(1.3 * z) / rowSums(exp(1.3 * z))
  label <- apply(p, 1, function(row) sample(C, 1, prob = row)) - 1
  noisy <- z + matrix(rnorm(n * C), n)
  q <- exp(noisy) / rowSums(exp(noisy))
  if (round) {
    p <- round(p, 1)
    q <- round(q, 1)
  }
  list(label = label, known = p, noisy = q)
}

two <- function(seed, n, round) {
  d <- classes(seed, n, 2, round)
  roc_of <- function(p) roc(d$label, p[, 2], levels = c(0, 1), direction = "<", quiet = TRUE)
  known <- roc_of(d$known)
  noisy <- roc_of(d$noisy)
  covariance <- cov(known, noisy, method = "delong")
  list(label = d$label, known = d$known[, 2], noisy = d$noisy[, 2],
       auc = c(auc(known), auc(noisy)), se = sqrt(c(var(known, method = "delong"), var(noisy, method = "delong"))),
       difference_se = sqrt(var(known, method = "delong") + var(noisy, method = "delong") - 2 * covariance))
}

# Hand and Till 2001, equation 3 and 7: mean over pairs of the mean of A(i|j) and A(j|i).
hand_till <- function(label, p) {
  C <- ncol(p)
  one <- function(i, j) {
    rows <- label %in% c(i, j)
    as.numeric(auc(roc(label[rows] == i, p[rows, i + 1], levels = c(FALSE, TRUE), direction = "<", quiet = TRUE)))
  }
  pairs <- combn(0:(C - 1), 2)
  mean(apply(pairs, 2, function(k) (one(k[1], k[2]) + one(k[2], k[1])) / 2))
}

several <- function(seed, n, C, round) {
  d <- classes(seed, n, C, round)
  list(label = d$label, known = d$known, m = hand_till(d$label, d$known))
}

# Class shares of new patients, by maximising their likelihood directly.
shares <- function(seed, n, C) {
  d <- classes(seed, n, C)
  training <- rep(1 / C, C)
  likelihood <- function(free) {
    share <- exp(c(free, 0)) / sum(exp(c(free, 0)))
    sum(log(d$known %*% (share / training)))
  }
  keep <- runif(n) < c(0.25, rep(1, C - 1))[d$label + 1]
  d$known <- d$known[keep, ]
  best <- optim(rep(0, C - 1), likelihood, method = "BFGS", control = list(fnscale = -1, reltol = 1e-15, maxit = 1000))
  found <- exp(c(best$par, 0)) / sum(exp(c(best$par, 0)))
  statistic <- 2 * (best$value - likelihood(rep(0, C - 1)))
  list(probability = d$known, shares = found, statistic = statistic,
       p = pchisq(statistic, C - 1, lower.tail = FALSE))
}

write(list(
  versions = versions("pROC", "jsonlite"),
  two = list(plain = two(1, 150, FALSE), tied = two(2, 150, TRUE), few = two(3, 24, FALSE)),
  several = list(three = several(4, 200, 3, FALSE), four_tied = several(5, 240, 4, TRUE)),
  shares = list(two = shares(6, 400, 2), three = shares(7, 400, 3))
), "diagnosis.json")
