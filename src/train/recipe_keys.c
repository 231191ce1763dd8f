/* train/recipe_keys.c - every key of a recipe: the one place where they are named. */
#include "train/recipe.h"

#include <nacre/metrics.h>

#include <math.h>

#define AT(field)     offsetof(nacre_recipe, field)
#define RANGE(a, b)   .low = (a), .high = (b)
#define AT_LEAST(a)   .low = (a), .high = INFINITY
#define LARGEST_SEED  0x1p53
#define OR(name, ...) #name "|"
#define BELOW_ONE     0.999999

const nc_recipe_key nc_recipe_keys[] = {
    {"name", NC_KEY_TEXT, AT(name), NULL,
     .doc = "What the report and the output folder are called; if not given, as the file without `.yaml`"},

    {"data.source", NC_KEY_SOURCE, AT(data.source), NULL,
     .doc = "The data set: a name (`nacre data list`), or the path of a folder, archive or file"},
    {"data.transforms", NC_KEY_STEPS, AT(data.transforms), NULL,
     .doc = "Steps that each sample passes; those that draw at random do so only while training"},
    {"data.validation", NC_KEY_NUMBER, AT(data.validation), "0.1", RANGE(0, 0.9),
     .doc = "Share of the training samples held out for validation where the set has no such part; 0: none"},
    {"data.test", NC_KEY_NUMBER, AT(data.test), "0.2", RANGE(0, 0.9),
     .doc = "Share of all samples held out for the test where the set has no such part; 0: none"},
    {"data.ordered", NC_KEY_BOOL, AT(data.ordered), "false",
     .doc = "Hold out the last samples instead of random ones: for series"},
    {"data.limit", NC_KEY_WHOLE, AT(data.limit), "0", AT_LEAST(0),
     .doc = "At most this many samples of each part, drawn evenly over the classes; 0: all"},
    {"data.classes", NC_KEY_TEXTS, AT(data.classes), NULL,
     .doc = "The classes in their order; if not given, all that occur, sorted"},
    {"data.channels", NC_KEY_WHOLE, AT(data.channels), "0", RANGE(0, 3),
     .doc = "Pictures become grey (1) or colour (3); 0: colour if any of them is"},
    {"data.layout", NC_KEY_TEXT, AT(data.layout), NULL,
     .doc = "How folders of pictures are named: `{split}/{class}/{number}.png`"},
    {"data.target", NC_KEY_TEXT, AT(data.target), NULL, .doc = "Tables: the column to predict; if not given, the last"},
    {"data.group", NC_KEY_TEXT, AT(data.group), NULL,
     .doc = "Tables: the column that says which rows belong together (a patient, a customer): parts and folds never "
            "divide them, and it is no feature"},
    {"data.regression", NC_KEY_BOOL, AT(data.regression), "false",
     .doc = "Tables: the target is a number, not a class"},
    {"data.ignore", NC_KEY_TEXTS, AT(data.ignore), NULL, .doc = "Tables: columns to leave out"},
    {"data.category", NC_KEY_TEXTS, AT(data.category), NULL,
     .doc = "Tables: columns that hold numbers and yet name categories"},
    {"data.codes", NC_KEY_BOOL, AT(data.codes), "false",
     .doc = "Tables: categories stay one column of codes instead of one column each"},
    {"data.keep_missing", NC_KEY_BOOL, AT(data.keep_missing), "false",
     .doc = "Tables: missing numbers are left to the transform `impute`; otherwise they are an error"},
    {"data.count", NC_KEY_WHOLE, AT(data.count), "0", AT_LEAST(0), .doc = "Glyphs: training samples to draw; 0: 12000"},
    {"data.seed", NC_KEY_WHOLE, AT(data.seed), "0", RANGE(0, LARGEST_SEED),
     .doc = "Of what is held out, and of glyphs; apart from `training.seed`, so that runs can be compared"},
    {"data.shuffle", NC_KEY_BOOL, AT(data.shuffle), "true", .doc = "A fresh order of the training samples each epoch"},
    {"data.drop_last", NC_KEY_BOOL, AT(data.drop_last), "false",
     .doc = "Leave out a last training batch that is not full"},
    {"data.workers", NC_KEY_WHOLE, AT(data.workers), "1", RANGE(0, 256),
     .doc = "Threads that prepare batches; 0: the training thread does it. The result does not depend on it"},
    {"data.prefetch", NC_KEY_WHOLE, AT(data.prefetch), "0", RANGE(0, 1024),
     .doc = "Batches prepared ahead; 0: two per worker"},

    {"validation.folds", NC_KEY_WHOLE, AT(validation.folds), "0", RANGE(0, 10000),
     .doc = "Cross-validation: train so often, each time with another fold of the training samples held out; 0: once"},
    {"validation.stratified", NC_KEY_BOOL, AT(validation.stratified), "true",
     .doc = "Every class in all folds alike, where there are classes"},

    {"model.zoo", NC_KEY_TEXT, AT(model.zoo), NULL, .doc = "The model: a name of the zoo, such as `lenet`"},
    {"model.file", NC_KEY_PATH, AT(model.file), NULL, .doc = "The model: a `.nacre` text in a file"},
    {"model.text", NC_KEY_TEXT, AT(model.text), NULL, .doc = "The model: a `.nacre` text, here"},
    {"model.parameters", NC_KEY_SETTINGS, AT(model.parameters), NULL,
     .doc = "What the model lets one choose: `{depth: 20}`"},

    {"optimizer.name", NC_KEY_CHOICE, AT(optimizer.name), "sgd", .choices = "sgd|adam|adamw",
     .doc = "How gradients change the weights"},
    {"optimizer.learning_rate", NC_KEY_POSITIVE, AT(optimizer.learning_rate), "0.01", RANGE(0, INFINITY),
     .doc = "The largest rate of the schedule"},
    {"optimizer.momentum", NC_KEY_NUMBER, AT(optimizer.momentum), "0", RANGE(0, BELOW_ONE), .doc = "Of sgd"},
    {"optimizer.nesterov", NC_KEY_BOOL, AT(optimizer.nesterov), "false", .doc = "Of sgd with momentum: look ahead"},
    {"optimizer.betas", NC_KEY_PAIR, AT(optimizer.betas), "[0.9, 0.999]", RANGE(0, BELOW_ONE),
     .doc = "Of adam and adamw: decay of the two averages"},
    {"optimizer.eps", NC_KEY_POSITIVE, AT(optimizer.eps), "1e-8", RANGE(0, 1),
     .doc = "Of adam and adamw: added to the denominator"},
    {"optimizer.weight_decay", NC_KEY_NUMBER, AT(optimizer.weight_decay), "0", AT_LEAST(0),
     .doc = "L2 penalty (sgd, adam) or decoupled decay (adamw)"},

    {"schedule.name", NC_KEY_CHOICE, AT(schedule.name), "constant", .choices = "constant|step|cosine",
     .doc = "How the learning rate goes on after the warm-up"},
    {"schedule.warmup_epochs", NC_KEY_NUMBER, AT(schedule.warmup_epochs), "0", AT_LEAST(0),
     .doc = "The rate grows from 0 in even steps over so many epochs"},
    {"schedule.warmup_steps", NC_KEY_WHOLE, AT(schedule.warmup_steps), "0", AT_LEAST(0),
     .doc = "The same in updates; give one of the two"},
    {"schedule.step_size", NC_KEY_WHOLE, AT(schedule.step_size), "10", AT_LEAST(1),
     .doc = "Of step: epochs from one drop to the next"},
    {"schedule.gamma", NC_KEY_POSITIVE, AT(schedule.gamma), "0.1", RANGE(0, 1), .doc = "Of step: factor of each drop"},
    {"schedule.min_rate", NC_KEY_NUMBER, AT(schedule.min_rate), "0", AT_LEAST(0),
     .doc = "Of cosine: the rate at the end"},

    {"training.epochs", NC_KEY_WHOLE, AT(training.epochs), "10", AT_LEAST(1),
     .doc = "Passes over the training samples"},
    {"training.batch_size", NC_KEY_WHOLE, AT(training.batch_size), "64", RANGE(1, 1 << 24), .doc = "Samples per batch"},
    {"training.accumulate", NC_KEY_WHOLE, AT(training.accumulate), "0", AT_LEAST(0),
     .doc = "Samples per update, a multiple of the batch size: gradients add up until so many are reached; 0: every "
            "batch"},
    {"training.clip_norm", NC_KEY_NUMBER, AT(training.clip_norm), "0", AT_LEAST(0),
     .doc = "Largest norm of all gradients together; 0: no limit"},
    {"training.early_stopping.patience", NC_KEY_WHOLE, AT(training.early_stopping.patience), "0", AT_LEAST(0),
     .doc = "Stop after so many epochs without a better validation; 0: never"},
    {"training.early_stopping.min_delta", NC_KEY_NUMBER, AT(training.early_stopping.min_delta), "0", AT_LEAST(0),
     .doc = "What counts as better must be better by more than this"},
    {"training.early_stopping.start_from_epoch", NC_KEY_WHOLE, AT(training.early_stopping.start_from_epoch), "0",
     AT_LEAST(0), .doc = "The first epochs, which do not count for patience"},
    {"training.loss", NC_KEY_CHOICE, AT(training.loss), "cross_entropy",
     .choices = "cross_entropy|mse|l1|huber|bce_with_logits", .doc = "What training makes small"},
    {"training.label_smoothing", NC_KEY_NUMBER, AT(training.label_smoothing), "0", RANGE(0, BELOW_ONE),
     .doc = "Of cross_entropy: share of the target spread evenly over the classes"},
    {"training.mixup", NC_KEY_NUMBER, AT(training.mixup), "0", RANGE(0, 1000),
     .doc = "Average each sample with another, by a share from Beta(x, x): 0.2 to 1 is usual; 0: not"},
    {"training.cutmix", NC_KEY_NUMBER, AT(training.cutmix), "0", RANGE(0, 1000),
     .doc = "Paste a rectangle of another picture into each, of a share from Beta(x, x): 1 is usual; 0: not. With "
            "mixup, one of both for each batch"},
    {"training.metrics", NC_KEY_TEXTS, AT(training.metrics), "[accuracy]", .choices = NACRE_METRIC_TABLE(OR) "topK",
     .doc = "What is measured besides the loss; the first one decides which epoch was best"},
    {"training.seed", NC_KEY_WHOLE, AT(training.seed), "0", RANGE(0, LARGEST_SEED),
     .doc = "Of weights, order, random transforms and dropout"},
    {"training.device", NC_KEY_CHOICE, AT(training.device), "cpu", .choices = "cpu|reference",
     .doc = "Where it runs; reference: plain kernels, slow and obvious"},
    {"training.precision", NC_KEY_CHOICE, AT(training.precision), "f32", .choices = "f32|bf16",
     .doc = "What products, convolutions and what lies between them compute in; weights, sums, losses and updates are "
            "f32 always"},
    {"training.threads", NC_KEY_WHOLE, AT(training.threads), "0", RANGE(0, 1024),
     .doc = "Compute threads; 0: one per core"},
    {"training.recompute", NC_KEY_BOOL, AT(training.recompute), "false",
     .doc = "Less memory for more time: keep little of the forward part, compute it again for the gradient; the same "
            "bits"},
    {"training.checkpoint_every", NC_KEY_WHOLE, AT(training.checkpoint_every), "0", AT_LEAST(0),
     .doc = "Updates between checkpoints; 0: one after each epoch"},

    {"output.folder", NC_KEY_TEXT, AT(output.folder), NULL,
     .doc = "Where everything is written, relative to the current folder; if not given, `runs/` and the recipe's name"},
    {"output.report", NC_KEY_BOOL, AT(output.report), "true", .doc = "Write `report.html`"},
    {"output.csv", NC_KEY_BOOL, AT(output.csv), "false", .doc = "Write `metrics.csv`, a row per epoch"},
    {"output.tensorboard", NC_KEY_BOOL, AT(output.tensorboard), "false",
     .doc = "Write TensorBoard's event files into `tensorboard/`"},
    {"output.histograms", NC_KEY_BOOL, AT(output.histograms), "false",
     .doc = "TensorBoard: histograms of all parameters after each epoch, too"},
    {"output.log_every", NC_KEY_WHOLE, AT(output.log_every), "0", AT_LEAST(0),
     .doc = "TensorBoard: loss and learning rate every so many updates, too; 0: of epochs only"},
    {"output.keep_every", NC_KEY_WHOLE, AT(output.keep_every), "0", AT_LEAST(0),
     .doc = "Keep a saved model in `checkpoints/` every so many epochs; 0: none, or each where `output.keep_best` says "
            "how many"},
    {"output.keep_best", NC_KEY_WHOLE, AT(output.keep_best), "0", AT_LEAST(0),
     .doc = "Of these, only the best so many stay; 0: all"},

    {"tune.method", NC_KEY_CHOICE, AT(tune.method), "asha", .choices = "asha|random|grid",
     .doc = "How `nacre tune` searches: asha stops the weaker trials early"},
    {"tune.trials", NC_KEY_WHOLE, AT(tune.trials), "20", RANGE(1, 100000),
     .doc = "Of asha and random: how many settings to try"},
    {"tune.seed", NC_KEY_WHOLE, AT(tune.seed), "0", RANGE(0, LARGEST_SEED), .doc = "Of the settings that are drawn"},
    {"tune.min_epochs", NC_KEY_WHOLE, AT(tune.min_epochs), "1", AT_LEAST(1),
     .doc = "Of asha: epochs until trials are compared for the first time"},
    {"tune.reduction", NC_KEY_WHOLE, AT(tune.reduction), "3", RANGE(2, 100),
     .doc = "Of asha: one of so many trials goes on, with so many times the epochs"},
    {"tune.ranges", NC_KEY_SETTINGS, AT(tune.ranges), NULL,
     .doc = "The keys to try and their values: `{optimizer.learning_rate: 1e-4..1e-1:log, training.batch_size: \"32, "
            "64\"}`"},

    {"target", NC_KEY_SETTINGS, AT(target), NULL, .doc = "Figures that the test part is to reach: `{accuracy: 0.92}`"},
};

const int nc_recipe_key_count = (int)(sizeof nc_recipe_keys / sizeof *nc_recipe_keys);
