/* Callbacks: what they hear and what their answers do; the files that come along, read back, cut and gone on with. */
#include "runs.h"

#include <nacre/report.h>

#include <sys/stat.h>

static nc_run create(void)
{
    return nc_run_create(&(nacre_context_options){.threads = 1});
}

/* ---- what callbacks hear ---- */

typedef struct witness {
    nacre_context *context;
    char heard[256]; /* a letter per event */
    int64_t epochs;
    nacre_fit_answer answer; /* to the step with this number */
    int64_t at_step;
    bool fail;
    bool destroyed;
} witness;

static nacre_fit_answer hear(void *user, const nacre_fit_event *event)
{
    witness *self = user;
    size_t length = strlen(self->heard);
    const char letter = "svebx"[event->kind];
    /* Steps in a row are one letter. */
    if (length == 0 || letter != 's' || self->heard[length - 1] != 's') self->heard[length] = letter;
    NC_CHECK(event->model && event->epochs == 3);
    if (event->kind == NACRE_FIT_EPOCH) {
        NC_CHECK_TEXT(event->deciding, "accuracy");
        NC_CHECK(event->deciding_value == nacre_metrics_value(event->validation->metrics, 0));
        self->epochs = event->epoch;
    }
    if (event->kind == NACRE_FIT_STEP) NC_CHECK(isfinite(event->batch_loss));
    if (event->kind == NACRE_FIT_STEP && event->step == self->at_step) {
        if (self->fail) nacre_fail(self->context, NACRE_ERROR_STATE, "the witness has had enough");
        return self->answer;
    }
    return NACRE_FIT_GO_ON;
}

static void forget(void *user)
{
    ((witness *)user)->destroyed = true;
}

static nc_run witnessed(witness *self, nacre_fit_answer answer, int64_t at_step)
{
    nc_run run = create();
    *self = (witness){.context = run.context, .answer = answer, .at_step = at_step};
    nacre_callback callback = {hear, self, forget};
    run.fit.callbacks = &callback;
    run.fit.callback_count = 1;
    nc_run_go(&run);
    NC_CHECK(!self->destroyed); /* callbacks are the caller's */
    nacre_callback_destroy(&callback);
    NC_CHECK(self->destroyed && !callback.call);
    return run;
}

static void events_in_order(void)
{
    witness self;
    nc_run run = witnessed(&self, NACRE_FIT_GO_ON, -1);
    NC_CHECK_OK(run.context);
    NC_CHECK_TEXT(self.heard, "bsvesvesvex");
    nc_run_destroy(&run);
}

/* The epoch is finished, the best weights are there, the last event comes. */
static void finishing(void)
{
    witness self;
    nc_run run = witnessed(&self, NACRE_FIT_FINISH, 7);
    NC_CHECK_OK(run.context);
    NC_CHECK_TEXT(self.heard, "bsvesvex");
    NC_CHECK(run.result.stopped_early && !run.result.cancelled);
    NC_CHECK_INT(run.result.epochs, 2);
    nc_run_destroy(&run);
}

static void interrupting(void)
{
    witness self;
    nc_run run = witnessed(&self, NACRE_FIT_INTERRUPT, 7);
    NC_CHECK_OK(run.context);
    NC_CHECK_TEXT(self.heard, "bsves");
    NC_CHECK(run.result.cancelled);
    NC_CHECK_INT(run.result.steps, 7);
    nc_run_destroy(&run);
}

static void failing(void)
{
    witness self = {0};
    nc_run run = create();
    self = (witness){.context = run.context, .at_step = 2, .fail = true};
    nacre_callback callback = {hear, &self, NULL};
    run.fit.callbacks = &callback;
    run.fit.callback_count = 1;
    NC_CHECK_INT(nc_run_go(&run), NACRE_ERROR_STATE);
    NC_CHECK_FAILED(run.context, NACRE_ERROR_STATE, "the witness has had enough");
    NC_CHECK_TEXT(self.heard, "bs");
    nc_run_destroy(&run);
}

/* ---- runs with files ---- */

static char *read_text(nacre_context *context, const char *path)
{
    size_t size;
    return nacre_file_read(context, path, 0, &size);
}

static void append(const char *path, const char *text)
{
    FILE *file = fopen(path, "ab");
    NC_REQUIRE(file);
    fputs(text, file);
    fclose(file);
}

/* Runs in `folder` with one callback, which is destroyed; interrupted after step `stop` (0: not). */
static nacre_status go(nc_run *run, nacre_callback made, const char *folder, int64_t stop, bool resume)
{
    witness self = {.context = run->context, .answer = NACRE_FIT_INTERRUPT, .at_step = stop};
    nacre_callback callbacks[] = {made, {hear, &self, NULL}};
    run->fit.callbacks = callbacks;
    run->fit.callback_count = 2;
    run->fit.folder = folder;
    run->fit.resume = resume;
    nacre_status status = made.call ? nc_run_go(run) : nacre_check(run->context);
    nacre_callback_destroy(&callbacks[0]);
    return status;
}

/* ---- rows ---- */

static int count_lines(const char *text)
{
    int lines = 0;
    for (; text && *text; text++) lines += *text == '\n';
    return lines;
}

static void rows(void)
{
    const char *path = nc_file("rows.csv");
    nc_run run = create();
    go(&run, nacre_csv_callback(run.context, path), nc_file("rows"), 0, false);
    NC_CHECK_OK(run.context);
    char *text = read_text(run.context, path);
    NC_CHECK_CONTAINS(text, "epoch,step,learning_rate,seconds,train.loss,train.accuracy,validation.loss,"
                            "validation.accuracy\n1,6,");
    NC_CHECK_CONTAINS(text, "\n3,18,0");
    NC_CHECK_INT(count_lines(text), 4);
    nacre_release(run.context, text);
    /* Every number of the log is there. */
    nacre_run_history *history = nacre_run_history_read(run.context, nc_file("rows/log.jsonl"));
    nacre_series losses = nacre_run_history_series(history, "epoch", "epoch", "validation.loss");
    nacre_table *table = nacre_table_read(run.context, &path, 1, NULL);
    NC_CHECK_OK(run.context);
    const nacre_column *column = nacre_table_column(table, nacre_table_find(table, "validation.loss"));
    NC_CHECK_INT(losses.count, 3);
    for (int i = 0; column && i < 3; i++) NC_CHECK(column->numbers[i] == losses.y[i]);
    nacre_table_destroy(table);
    nacre_run_history_destroy(history);
    nc_run_destroy(&run);
}

/* What an interrupted run wrote after its checkpoint goes, torn rows too. */
static void rows_gone_on_with(void)
{
    const char *path = nc_file("more.csv"), *folder = nc_file("more");
    nc_run run = create();
    go(&run, nacre_csv_callback(run.context, path), folder, 8, false);
    NC_CHECK_OK(run.context);
    nc_run_destroy(&run);
    append(path, "2,12,0.1,0.1,1,1,1,1\n3,18,0.");
    run = create();
    go(&run, nacre_csv_callback(run.context, path), folder, 0, true);
    NC_CHECK_OK(run.context);
    char *text = read_text(run.context, path);
    NC_CHECK_INT(count_lines(text), 4);
    NC_CHECK(text && !strstr(text, "\n2,12,0.1,0.1,1,1"));
    NC_CHECK_CONTAINS(text, "\n1,6,");
    NC_CHECK_CONTAINS(text, "\n2,12,");
    NC_CHECK_CONTAINS(text, "\n3,18,");
    nacre_release(run.context, text);
    nc_run_destroy(&run);
}

static void rows_of_other_columns(void)
{
    static const char *const other[] = {"f1_macro", NULL};
    const char *path = nc_file("other.csv"), *folder = nc_file("other");
    nc_run run = create();
    go(&run, nacre_csv_callback(run.context, path), folder, 8, false);
    nc_run_destroy(&run);
    run = create();
    run.fit.metrics = other;
    go(&run, nacre_csv_callback(run.context, path), folder, 0, true);
    NC_CHECK_FAILED(run.context, NACRE_ERROR_STATE, "resume with the same metrics");
    nc_run_destroy(&run);
}

/* ---- event files, read by the rules of the formats ---- */

/* The table-driven form of the checksum, unlike the writer's. */
static uint32_t crc32c(const uint8_t *bytes, size_t size)
{
    uint32_t table[256], crc = 0xffffffffu;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++) table[i] = table[i] & 1 ? table[i] >> 1 ^ 0x82f63b78u : table[i] >> 1;
    }
    for (size_t i = 0; i < size; i++) crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 255];
    return crc ^ 0xffffffffu;
}

static uint64_t little(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | from[i];
    return value;
}

static uint64_t varint(const uint8_t **at)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        value |= (uint64_t)(**at & 127) << shift;
        if (*(*at)++ < 128) return value;
    }
}

/* One field of a message: its number, and its content or number. False at the end. */
typedef struct field {
    int number;
    const uint8_t *bytes;
    uint64_t value; /* the size, where there are bytes */
} field;

static bool next_field(const uint8_t **at, const uint8_t *end, field *found)
{
    if (*at >= end) return false;
    uint64_t key = varint(at);
    int wire = (int)(key & 7);
    *found = (field){.number = (int)(key >> 3), .bytes = *at};
    if (wire == 0) {
        found->value = varint(at);
    } else if (wire == 2) {
        found->value = varint(at);
        found->bytes = *at;
        *at += found->value;
    } else {
        int size = wire == 1 ? 8 : 4;
        NC_CHECK(wire == 1 || wire == 5);
        found->value = little(*at, size);
        *at += size;
    }
    return true;
}

typedef struct board {
    int events, values, histograms;
    int64_t last_step;
    double loss_at[32]; /* train/loss by step */
    double weights;     /* of the last histogram of conv.weight */
} board;

static double as_float(uint64_t bits)
{
    uint32_t word = (uint32_t)bits;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static double as_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void read_histogram(board *all, const uint8_t *at, const uint8_t *end)
{
    field part;
    double buckets = 0, number = 0, limit = -INFINITY, high = 0;
    while (next_field(&at, end, &part)) {
        if (part.number == 2) high = as_double(part.value);
        if (part.number == 3) number = as_double(part.value);
        for (uint64_t i = 0; part.number == 6 && i < part.value; i += 8) {
            NC_CHECK(as_double(little(part.bytes + i, 8)) > limit);
            limit = as_double(little(part.bytes + i, 8));
        }
        for (uint64_t i = 0; part.number == 7 && i < part.value; i += 8)
            buckets += as_double(little(part.bytes + i, 8));
    }
    NC_CHECK(buckets == number && limit == high);
    all->histograms++;
    all->weights = number;
}

static void read_value(board *all, const uint8_t *at, const uint8_t *end, int64_t step)
{
    field part;
    char tag[128] = "";
    while (next_field(&at, end, &part)) {
        if (part.number == 1) snprintf(tag, sizeof tag, "%.*s", (int)part.value, (const char *)part.bytes);
        if (part.number == 2 && !strcmp(tag, "train/loss")) all->loss_at[step] = as_float(part.value);
        if (part.number == 5 && !strcmp(tag, "weights/conv.weight"))
            read_histogram(all, part.bytes, part.bytes + part.value);
    }
    NC_CHECK(*tag);
    all->values++;
}

static void read_event(board *all, const uint8_t *at, const uint8_t *end)
{
    field part, value;
    int64_t step = 0;
    while (next_field(&at, end, &part)) {
        if (part.number == 1) NC_CHECK(as_double(part.value) > 1.5e9);
        if (part.number == 2) step = (int64_t)part.value;
        if (part.number == 3) NC_CHECK(part.value == 13 && !memcmp(part.bytes, "brain.Event:2", 13));
        if (part.number == 3) NC_CHECK_INT(all->events, 0);
        const uint8_t *inner = part.bytes;
        while (part.number == 5 && next_field(&inner, part.bytes + part.value, &value))
            read_value(all, value.bytes, value.bytes + value.value, step);
    }
    NC_CHECK(step >= all->last_step && step < 32);
    all->last_step = step;
    all->events++;
}

static board read_board(nacre_context *context, const char *path)
{
    board all = {0};
    size_t size = 0;
    char *text = nacre_file_read(context, path, 0, &size);
    const uint8_t *at = (const uint8_t *)text, *end = at + size;
    NC_CHECK(text);
    while (at < end) {
        uint64_t length = little(at, 8);
        uint32_t head = crc32c(at, 8), body = crc32c(at + 12, length);
        NC_CHECK(little(at + 8, 4) == ((head >> 15 | head << 17) + 0xa282ead8u));
        NC_CHECK(little(at + 12 + length, 4) == ((body >> 15 | body << 17) + 0xa282ead8u));
        read_event(&all, at + 12, at + 12 + length);
        at += 12 + length + 4;
    }
    NC_CHECK(at == end);
    nacre_release(context, text);
    return all;
}

static void event_files(void)
{
    const char *path = nc_file("board/events.out.tfevents.nacre");
    nacre_tensorboard_options options = {.folder = nc_file("board"), .histograms = true, .every = 2};
    NC_CHECK_INT(crc32c((const uint8_t *)"123456789", 9), 0xe3069283u); /* the polynomial's known check value */
    nc_run run = create();
    go(&run, nacre_tensorboard_callback(run.context, &options), nc_file("boarded"), 0, false);
    NC_CHECK_OK(run.context);
    board all = read_board(run.context, path);
    /* The version, 3 epochs of 8 fields and 6 histograms, 9 steps of 2 values. */
    NC_CHECK_INT(all.events, 1 + 3 + 9);
    NC_CHECK_INT(all.values, 3 * (7 + 6) + 9 * 2);
    NC_CHECK_INT(all.histograms, 3);
    NC_CHECK_INT(all.weights, 27);
    nacre_run_history *history = nacre_run_history_read(run.context, nc_file("boarded/log.jsonl"));
    nacre_series losses = nacre_run_history_series(history, "epoch", "step", "train.loss");
    for (int64_t i = 0; i < losses.count; i++) NC_CHECK_NEAR(all.loss_at[(int)losses.x[i]], losses.y[i], 1e-6);
    NC_CHECK_INT(losses.count, 3);
    nacre_run_history_destroy(history);
    nc_run_destroy(&run);
}

/* Two processes, the first of which got further than its checkpoint and tore its last record: one seamless file. */
static void event_files_gone_on_with(void)
{
    const char *path = nc_file("going/events.out.tfevents.nacre"), *folder = nc_file("gone");
    nacre_tensorboard_options options = {.folder = nc_file("going"), .every = 1};
    nc_run run = create();
    go(&run, nacre_tensorboard_callback(run.context, &options), folder, 8, false);
    NC_CHECK_OK(run.context);
    NC_CHECK_INT(read_board(run.context, path).last_step, 8);
    nc_run_destroy(&run);
    append(path, "torn");
    run = create();
    go(&run, nacre_tensorboard_callback(run.context, &options), folder, 0, true);
    NC_CHECK_OK(run.context);
    board all = read_board(run.context, path);
    NC_CHECK_INT(all.events, 1 + 3 + 18);
    NC_CHECK_INT(all.last_step, 18);
    nc_run_destroy(&run);
}

/* ---- kept models ---- */

static int count_files(const char *folder)
{
    DIR *entries = opendir(folder);
    int count = 0;
    for (const struct dirent *entry; entries && (entry = readdir(entries));) count += *entry->d_name != '.';
    if (entries) closedir(entries);
    return count;
}

/* The file's figure is the validation accuracy of its weights. */
static void check_kept(nc_run *run, const char *folder, int *checked)
{
    DIR *entries = opendir(folder);
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        int64_t epoch;
        double accuracy;
        char path[512];
        if (sscanf(entry->d_name, "epoch-%" SCNd64 "-accuracy-%lf.safetensors", &epoch, &accuracy) != 2) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        nacre_safetensors *file = nacre_safetensors_open(run->context, path);
        nacre_model *model = nacre_model_create(run->context);
        nacre_evaluation evaluation = {0};
        nacre_model_load(model, file);
        nacre_evaluate(
            run->context,
            &(nacre_evaluate_options){
                .model = model, .build = run->fit.build, .dataset = run->validation, .transforms = run->transforms},
            &evaluation);
        NC_CHECK_NEAR(nacre_metrics_value(evaluation.metrics, 0), accuracy, 1e-6);
        nacre_metrics_destroy(evaluation.metrics);
        nacre_model_destroy(model);
        nacre_safetensors_close(file);
        ++*checked;
    }
    if (entries) closedir(entries);
}

static void kept_models(void)
{
    const char *folder = nc_file("kept");
    nc_run run = create();
    run.fit.epochs = 3;
    go(&run, nacre_keep_callback(run.context, &(nacre_keep_options){.folder = folder}), nc_file("keeping"), 0, false);
    NC_CHECK_OK(run.context);
    int checked = 0;
    check_kept(&run, folder, &checked);
    NC_CHECK_INT(checked, 3);
    NC_CHECK_INT(count_files(folder), 3);
    nc_run_destroy(&run);

    /* A new run removes them; foreign files stay. */
    append(nc_file("kept/notes.txt"), "mine");
    append(nc_file("kept/epoch-of-dinosaurs.safetensors"), "mine, too");
    run = create();
    go(&run, nacre_keep_callback(run.context, &(nacre_keep_options){.folder = folder, .every = 2}), nc_file("keeping"),
       0, false);
    NC_CHECK_OK(run.context);
    NC_CHECK_INT(count_files(folder), 1 + 2);
    nc_run_destroy(&run);
}

static void best_models_stay(void)
{
    char folder[256], again[256];
    snprintf(folder, sizeof folder, "%s", nc_file("bests"));
    snprintf(again, sizeof again, "%s", nc_file("bests2"));
    nacre_keep_options options = {.folder = folder, .keep = 2};
    nc_run run = create();
    go(&run, nacre_keep_callback(run.context, &options), nc_file("besting"), 0, false);
    NC_CHECK_OK(run.context);
    nacre_run_history *history = nacre_run_history_read(run.context, nc_file("besting/log.jsonl"));
    nacre_series values = nacre_run_history_series(history, "epoch", "epoch", "validation.accuracy");
    NC_REQUIRE(values.count == 3);
    int worst = 0; /* of equals the youngest goes */
    for (int i = 1; i < 3; i++)
        if (values.y[i] <= values.y[worst]) worst = i;
    for (int i = 0; i < 3; i++) {
        char name[128];
        snprintf(name, sizeof name, "bests/epoch-%03d-accuracy-%.6f.safetensors", i + 1, values.y[i]);
        NC_CHECK_INT(access(nc_file(name), F_OK) == 0, i != worst);
    }
    nacre_run_history_destroy(history);
    nc_run_destroy(&run);

    /* Interrupted and resumed: the same files. */
    run = create();
    options.folder = again;
    go(&run, nacre_keep_callback(run.context, &options), nc_file("besting2"), 8, false);
    nc_run_destroy(&run);
    append(nc_file("bests2/epoch-002-accuracy-9.000000.safetensors"), "of an epoch that comes again");
    run = create();
    go(&run, nacre_keep_callback(run.context, &options), nc_file("besting2"), 0, true);
    NC_CHECK_OK(run.context);
    char command[640];
    snprintf(command, sizeof command, "a=$(ls '%s'); b=$(ls '%s'); [ \"$a\" = \"$b\" ]", folder, again);
    NC_CHECK_INT(system(command), 0);
    nc_run_destroy(&run);
}

/* ---- early stopping that starts late ---- */

static void patience_starts_late(void)
{
    nc_run run = create();
    run.fit.epochs = 40;
    run.fit.schedule.base = 1e-9; /* nothing gets better after the first epoch */
    run.fit.patience = 2;
    run.fit.min_delta = 0.5;
    run.fit.start_from_epoch = 4;
    nc_run_go(&run);
    NC_CHECK_OK(run.context);
    NC_CHECK(run.result.stopped_early);
    NC_CHECK_INT(run.result.epochs, 4 + 1 + 2); /* the fifth is the first to compare with */
    nc_run_destroy(&run);
}

/* ---- places that cannot be written, and memory that runs out ---- */

static void no_place(void)
{
    nc_run run = create();
    append(nc_file("file"), "not a folder");
    go(&run, nacre_csv_callback(run.context, nc_file("file/metrics.csv")), NULL, 0, false);
    NC_CHECK_FAILED(run.context, NACRE_ERROR_IO, "metrics.csv");
    nacre_callback none =
        nacre_tensorboard_callback(run.context, &(nacre_tensorboard_options){.folder = nc_file("file/board")});
    NC_CHECK(!none.call);
    NC_CHECK_FAILED(run.context, NACRE_ERROR_IO, "file");
    nc_run_destroy(&run);
}

/* Each callback on its own with made-up events. */
static bool write_all(nacre_context *context, void *user)
{
    (void)user;
    nacre_model *model = nacre_model_create(context);
    nacre_model_add(model, NACRE_ENTRY_PARAMETER, "w", NACRE_F32, NACRE_SHAPE(3));
    nacre_callback callbacks[] = {
        nacre_csv_callback(context, nc_file("memory.csv")),
        nacre_tensorboard_callback(context,
                                   &(nacre_tensorboard_options){.folder = nc_file("memory"), .histograms = true}),
        nacre_keep_callback(context, &(nacre_keep_options){.folder = nc_file("memory"), .keep = 1})};
    nacre_fit_event event = {.kind = NACRE_FIT_BEGIN, .model = model, .epoch = 1, .deciding = "loss"};
    for (int i = 0; i < 3; i++) {
        for (int kind = 0; callbacks[i].call && kind < 3 && !nacre_check(context); kind++) {
            event.kind = kind == 0 ? NACRE_FIT_BEGIN : NACRE_FIT_EPOCH;
            event.epoch = kind ? kind : 1;
            event.step = kind;
            callbacks[i].call(callbacks[i].user, &event);
        }
        nacre_callback_destroy(&callbacks[i]);
    }
    nacre_model_destroy(model);
    return nacre_check(context) == NACRE_OK;
}

static void no_memory(void)
{
    nc_fail_each_allocation(write_all, NULL);
}

int main(void)
{
    NC_RUN(events_in_order);
    NC_RUN(finishing);
    NC_RUN(interrupting);
    NC_RUN(failing);
    NC_RUN(rows);
    NC_RUN(rows_gone_on_with);
    NC_RUN(rows_of_other_columns);
    NC_RUN(event_files);
    NC_RUN(event_files_gone_on_with);
    NC_RUN(kept_models);
    NC_RUN(best_models_stay);
    NC_RUN(patience_starts_late);
    NC_RUN(no_place);
    NC_RUN(no_memory);
    return nc_report();
}
