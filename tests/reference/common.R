# What the scripts of this folder share; each sources it after its libraries, jsonlite among them.

# Versions of R and of some packages.
versions <- function(...) {
  packages <- c(...)
  c(list(R = paste(R.version$major, R.version$minor, sep = ".")),
    setNames(lapply(packages, function(p) as.character(packageVersion(p))), packages))
}

# Outcomes whose risk depends on x. `ends` are the earliest and the latest end of follow-up; `round` makes ties of events
# and censorings. Two sights of the risk: x itself, and x through noise.
cohort <- function(seed, n, ends, competing, round = FALSE) {
  set.seed(seed)
  x <- rnorm(n)
  first <- rexp(n, exp(0.8 * x) / 8)
  second <- if (competing) rexp(n, exp(0.3 * x) / 14) else rep(Inf, n)
  out <- runif(n, ends[1], ends[2])
  time <- pmin(first, second, out)
  event <- ifelse(out <= pmin(first, second), 0, ifelse(first <= second, 1, 2))
  time <- if (round) ceiling(time * 2) / 2 else round(time, 6)
  list(time = time, event = event, x = x, noisy = x + rnorm(n))
}

# Inputs and answers as JSON.
write <- function(content, path, digits = 12) {
  writeLines(toJSON(content, digits = digits, auto_unbox = TRUE, na = "null", pretty = FALSE), path)
}
