# Linear mixed models with a random intercept and slope, one for each fold and variable of a table.
# Rscript mixed_model.R in.csv out.csv: columns fold, variable, id, time, male, age, z.
suppressMessages(library(nlme))
files <- commandArgs(TRUE)
table <- read.csv(files[1])
fitted <- lapply(split(table, list(table$fold, table$variable), drop = TRUE), function(part) {
  fit <- lme(z ~ time + male + age, random = ~ time | id, data = part,
             control = lmeControl(opt = "optim", maxIter = 200, msMaxIter = 500, returnObject = TRUE))
  b <- fixef(fit)
  D <- matrix(as.numeric(getVarCov(fit)), 2)
  data.frame(fold = part$fold[1], variable = part$variable[1], intercept = b["(Intercept)"], time = b["time"],
             male = b["male"], age = b["age"], d00 = D[1, 1], d01 = D[1, 2], d11 = D[2, 2], noise = fit$sigma^2)
})
write.csv(do.call(rbind, fitted), files[2], row.names = FALSE)
