# Answers of R that Osler's updating of risks is held against. Run from this folder: Rscript make_updating.R
# Needs R packages survival and jsonlite. Writes updating.json.
suppressMessages({ library(survival); library(jsonlite) })
source("common.R")

# Outcomes of patients whom a model's risks describe badly: `shift` and `slope` on the scale log(-log(1 - risk)).
cohort <- function(seed, n, ends, competing, shift, slope) {
  set.seed(seed)
  lp <- rnorm(n, -1, 0.9)
  first <- rexp(n, exp(shift + slope * lp))
  second <- if (competing) rexp(n, 0.15) else rep(Inf, n)
  out <- if (is.null(ends)) rep(Inf, n) else runif(n, ends[1], ends[2])
  time <- pmin(first, second, out)
  event <- ifelse(out <= pmin(first, second), 0, ifelse(first <= second, 1, 2))
  list(time = ceiling(time * 50) / 50, event = event,
       risk = pmin(pmax(round(1 - exp(-exp(lp)), 3), 0.001), 0.999))
}

cases <- list(
  whole = cohort(1, 1500, NULL, FALSE, 0.3, 0.8),
  censored = cohort(2, 700, c(0.4, 3), FALSE, -0.4, 1.2),
  competing = cohort(4, 700, c(0.4, 3), TRUE, 0.2, 0.9)
)
horizon <- 1.01  # between the times, which are ends of steps of 0.02

# Integrals from 0 of hat functions on the knots, constant beyond the outer ones.
hats <- function(x, knots) {
  m <- length(knots)
  sapply(seq_len(m), function(j) {
    hat <- approxfun(knots, as.numeric(seq_len(m) == j), rule = 2)
    sapply(x, function(to) {
      breaks <- sort(c(0, to, knots[knots > min(0, to) & knots < max(0, to)]))
      mid <- (head(breaks, -1) + tail(breaks, -1)) / 2
      sum(diff(breaks) * hat(mid)) * sign(to)   # hats are straight between breaks: the middle is exact
    })
  })
}

# With the derivative of the mean as variance, the quasi-score is (y - mean) times the columns.
family <- quasi(link = "cloglog", variance = list(
  varfun = function(mu) -(1 - mu) * log(1 - mu), validmu = function(mu) all(mu > 0 & mu < 1),
  dev.resids = function(y, mu, wt) wt * (y - mu)^2, name = "derivative",
  initialize = expression({ n <- rep.int(1, nobs); mustart <- rep(mean(y), nobs) })))
fit <- function(formula, d) {
  glm(formula, data = d, family = family, control = list(epsilon = 1e-300, maxit = 60))
}

answer <- function(case) {
  d <- data.frame(time = case$time, event = case$event)
  d$x <- log(-log(1 - case$risk))
  d$state <- factor(d$event, 0:2)
  d$id <- seq_len(nrow(d))
  d <<- d  # pseudo() looks for the data of the fit among global names
  curve <- survfit(Surv(time, state) ~ 1, data = d, id = id)
  d$y <- pseudo(curve, times = horizon, type = "pstate")[, "1"]
  y <- as.numeric(d$time <= horizon & d$event == 1)
  others <- sum(d$time > horizon | d$event == 2 & d$time <= horizon)
  knots <- unname(quantile(d$x, if (min(sum(y), others) >= 500) c(0.05, 0.35, 0.65, 0.95) else c(0.1, 0.5, 0.9)))
  d$h <- hats(d$x, knots)
  large <- suppressWarnings(fit(y ~ offset(x), d)); slope <- suppressWarnings(fit(y ~ x, d))
  flexible <- suppressWarnings(fit(y ~ h, d))
  sandwich <- function(model, X) {
    eta <- model$linear.predictors; p <- 1 - exp(-exp(eta))
    A <- crossprod(X, X * (exp(eta) * (1 - p)))
    sqrt(diag(solve(A) %*% crossprod(X * (d$y - p)) %*% solve(A)))
  }
  # Generalised score test of a fit within the flexible one; the variance is a quadratic of the risk.
  score <- function(eta, null) {
    X <- cbind(1, d$h); p <- 1 - exp(-exp(eta))
    B <- cbind(p * (1 - p), p^2, (1 - p)^2); r <- (d$y - p)^2
    # Least squares without negative coefficients: the best of all subsets whose fit has none.
    subsets <- Filter(length, lapply(0:7, function(k) which(bitwAnd(k, c(1, 2, 4)) > 0)))
    fits <- lapply(subsets, function(s) { b <- numeric(3); b[s] <- qr.solve(B[, s, drop = FALSE], r); b })
    fits <- Filter(function(b) all(b >= 0), fits)
    v <- drop(B %*% fits[[which.min(sapply(fits, function(b) sum((r - B %*% b)^2)))]])
    A <- crossprod(X, X * (exp(eta) * (1 - p))); U <- crossprod(X, d$y - p)
    R <- diag(ncol(X))
    if (ncol(null)) R <- R - A %*% null %*% solve(t(null) %*% A %*% null) %*% t(null)
    K <- if (ncol(null)) qr.Q(qr(null), complete = TRUE)[, -seq_len(ncol(null)), drop = FALSE] else R
    M <- t(K) %*% R
    W <- M %*% crossprod(X, X * v) %*% t(M)
    drop(t(M %*% U) %*% solve(W, M %*% U))
  }
  m <- length(knots)
  shift <- c(1, rep(0, m)); common <- c(0, rep(1, m))
  c(case, list(horizon = horizon, pseudo = d$y, knots = knots,
    in_the_large = unname(coef(large)), slope = unname(coef(slope)), flexible = unname(coef(flexible)),
    slope_se = unname(sandwich(slope, cbind(1, d$x))),
    score = c(score(d$x, matrix(0, m + 1, 0)), score(large$linear.predictors, cbind(shift)),
              score(slope$linear.predictors, cbind(shift, common)))))
}

content <- list(versions = versions("survival"), cases = lapply(cases, answer))
write(content, "updating.json")
