/* train/tensorboard.c - TensorBoard's event files.
 *
 * A file is a chain of TFRecords: length (u64), masked CRC-32C of these eight bytes (u32), the bytes, masked CRC-32C of
 * them (u32), all little-endian. Each record is one tensorflow.Event in the protocol buffer wire format:
 *     Event:     wall_time 1 double, step 2 int64, file_version 3 string, summary 5 Summary
 *     Summary:   value 1 repeated Value
 *     Value:     tag 1 string, simple_value 2 float, histo 5 HistogramProto
 *     Histogram: min 1, max 2, num 3, sum 4, sum_squares 5 double; bucket_limit 6, bucket 7 packed double
 */
#include "train/appender.h"
#include "train/train.h"

#include <nacre/io.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FRAME_HEAD = 12, FRAME_TAIL = 4, BUCKETS = 30 };

typedef struct board {
    nacre_context *context;
    char *path;
    bool histograms;
    int64_t every;
    nc_appender file;
    nacre_buffer summary, value, event, frame;
} board;

/* ---- checksums ---- */

/* CRC-32C (Castagnoli), reflected. */
static uint32_t crc32c(const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= from[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* A checksum of data that holds checksums is weak: TFRecords turn and shift it. */
static uint32_t masked(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put_little(uint8_t *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_little(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)from[i] << 8 * i;
    return value;
}

/* ---- messages ---- */

enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };

static void put_varint(nacre_buffer *to, uint64_t value)
{
    uint8_t bytes[10];
    size_t count = 0;
    do {
        bytes[count] = (uint8_t)((value & 127) | (value > 127) << 7);
        count++;
    } while (value >>= 7);
    nacre_buffer_put(to, bytes, count);
}

static void put_key(nacre_buffer *to, int field, int wire)
{
    put_varint(to, (uint64_t)(field << 3 | wire));
}

static void put_double_bits(nacre_buffer *to, double value)
{
    uint64_t bits;
    uint8_t bytes[8];
    memcpy(&bits, &value, sizeof bits);
    put_little(bytes, bits, 8);
    nacre_buffer_put(to, bytes, sizeof bytes);
}

static void put_double(nacre_buffer *to, int field, double value)
{
    put_key(to, field, FIXED64);
    put_double_bits(to, value);
}

static void put_float(nacre_buffer *to, int field, double value)
{
    float single = (float)value;
    uint32_t bits;
    uint8_t bytes[4];
    memcpy(&bits, &single, sizeof bits);
    put_little(bytes, bits, 4);
    put_key(to, field, FIXED32);
    nacre_buffer_put(to, bytes, sizeof bytes);
}

static void put_bytes(nacre_buffer *to, int field, const void *bytes, size_t size)
{
    put_key(to, field, BYTES);
    put_varint(to, size);
    nacre_buffer_put(to, bytes, size);
}

static void put_message(nacre_buffer *to, int field, const nacre_buffer *message)
{
    put_bytes(to, field, message->data, message->size);
    to->failed |= message->failed;
}

/* "train.loss" becomes "train/loss": TensorBoard groups by what stands before the stroke. */
static void put_tag(nacre_buffer *value, const char *prefix, const char *name, bool group)
{
    char tag[256];
    snprintf(tag, sizeof tag, "%s%s", prefix, name);
    char *dot = group ? strchr(tag, '.') : NULL;
    if (dot) *dot = '/';
    put_bytes(value, 1, tag, strlen(tag));
}

/* ---- records ---- */

static double wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Writes the event that the board holds. */
static nacre_status write_event(board *all)
{
    uint8_t head[FRAME_HEAD], tail[FRAME_TAIL];
    if (all->event.failed) return NACRE_ERROR_MEMORY;
    put_little(head, all->event.size, 8);
    put_little(head + 8, masked(crc32c(head, 8)), 4);
    put_little(tail, masked(crc32c(all->event.data, all->event.size)), 4);
    nacre_buffer_clear(&all->frame);
    nacre_buffer_put(&all->frame, head, sizeof head);
    nacre_buffer_put(&all->frame, all->event.data, all->event.size);
    nacre_buffer_put(&all->frame, tail, sizeof tail);
    return all->frame.failed ? NACRE_ERROR_MEMORY : nc_append(&all->file, all->frame.data, all->frame.size);
}

static void begin_event(board *all, int64_t step)
{
    nacre_buffer_clear(&all->event);
    nacre_buffer_clear(&all->summary);
    put_double(&all->event, 1, wall_clock());
    put_key(&all->event, 2, VARINT);
    put_varint(&all->event, (uint64_t)step);
}

static nacre_status end_event(board *all)
{
    put_message(&all->event, 5, &all->summary);
    return write_event(all);
}

static void add_scalar(board *all, const char *name, double number)
{
    nacre_buffer_clear(&all->value);
    put_tag(&all->value, "", name, true);
    put_float(&all->value, 2, number);
    put_message(&all->summary, 1, &all->value);
}

/* ---- histograms ---- */

typedef struct spread {
    double low, high, sum, squares;
    double counts[BUCKETS];
} spread;

static spread count_values(const nacre_entry *entry)
{
    spread all = {.low = INFINITY, .high = -INFINITY};
    int64_t count = nacre_shape_count(entry->shape);
    for (int64_t i = 0; i < count; i++) {
        double value = nacre_dtype_load(entry->dtype, entry->data, i);
        all.low = fmin(all.low, value);
        all.high = fmax(all.high, value);
        all.sum += value;
        all.squares += value * value;
    }
    double scale = all.high > all.low ? BUCKETS / (all.high - all.low) : 0;
    for (int64_t i = 0; i < count; i++) {
        int bucket = (int)((nacre_dtype_load(entry->dtype, entry->data, i) - all.low) * scale);
        all.counts[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    }
    return all;
}

static void put_histogram(nacre_buffer *to, const nacre_entry *entry)
{
    spread all = count_values(entry);
    double width = (all.high - all.low) / BUCKETS;
    put_double(to, 1, all.low);
    put_double(to, 2, all.high);
    put_double(to, 3, (double)nacre_shape_count(entry->shape));
    put_double(to, 4, all.sum);
    put_double(to, 5, all.squares);
    put_key(to, 6, BYTES);
    put_varint(to, BUCKETS * sizeof(double));
    for (int i = 1; i <= BUCKETS; i++) put_double_bits(to, i < BUCKETS ? all.low + width * i : all.high);
    put_key(to, 7, BYTES);
    put_varint(to, BUCKETS * sizeof(double));
    for (int i = 0; i < BUCKETS; i++) put_double_bits(to, all.counts[i]);
}

static void add_histograms(board *all, const nacre_model *model)
{
    nacre_entry entry;
    nacre_buffer histogram = nacre_buffer_create(all->context);
    for (int slot = 0; nacre_model_entry(model, slot, &entry); slot++) {
        if (entry.role != NACRE_ENTRY_PARAMETER || nacre_shape_count(entry.shape) == 0) continue;
        nacre_buffer_clear(&histogram);
        nacre_buffer_clear(&all->value);
        put_histogram(&histogram, &entry);
        put_tag(&all->value, "weights/", entry.path, false);
        put_message(&all->value, 5, &histogram);
        put_message(&all->summary, 1, &all->value);
    }
    nacre_buffer_destroy(&histogram);
}

/* ---- going on ---- */

static bool get_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return true;
    }
    return false;
}

/* The step of an event, whose fields we wrote in the order wall_time, step, the rest; 0 without one. */
static int64_t step_of(const uint8_t *event, size_t size)
{
    const uint8_t *at = event + 9, *end = event + size;
    uint64_t key, step;
    bool found = size > 9 && get_varint(&at, end, &key) && key == (2 << 3 | VARINT) && get_varint(&at, end, &step);
    return found ? (int64_t)step : 0;
}

/* The bytes up to the first record that is of a later step or damaged. */
static int64_t find_kept(const uint8_t *bytes, size_t size, int64_t step)
{
    size_t at = 0;
    while (size - at >= FRAME_HEAD + FRAME_TAIL) {
        uint64_t length = get_little(bytes + at, 8);
        if (get_little(bytes + at + 8, 4) != masked(crc32c(bytes + at, 8))) break;
        if (length > size - at - FRAME_HEAD - FRAME_TAIL) break;
        const uint8_t *event = bytes + at + FRAME_HEAD;
        if (get_little(event + length, 4) != masked(crc32c(event, length)) || step_of(event, length) > step) break;
        at += FRAME_HEAD + length + FRAME_TAIL;
    }
    return (int64_t)at;
}

static nacre_status open_file(board *all, const nacre_fit_event *event)
{
    static const char version[] = "brain.Event:2";
    nacre_mapping mapping;
    int64_t kept = 0;
    if (event->resumed && nacre_path_exists(all->path)) {
        if (nacre_file_map(all->context, all->path, &mapping)) return nacre_check(all->context);
        kept = find_kept(mapping.data, mapping.size, event->step);
        nacre_file_unmap(&mapping);
    }
    if (nc_appender_open(&all->file, all->context, all->path, kept) || kept > 0) return nacre_check(all->context);
    nacre_buffer_clear(&all->event);
    put_double(&all->event, 1, wall_clock());
    put_bytes(&all->event, 3, version, strlen(version));
    return write_event(all);
}

/* ---- the callback ---- */

static nacre_status write_epoch(board *all, const nacre_fit_event *event)
{
    nc_event_fields fields;
    nc_describe_epoch(event, &fields);
    begin_event(all, event->step);
    for (int i = 0; i < fields.count; i++) add_scalar(all, fields.names[i], fields.values[i]);
    if (all->histograms) add_histograms(all, event->model);
    nacre_status status = end_event(all);
    return status ? status : nc_appender_sync(&all->file);
}

static nacre_status write_step(board *all, const nacre_fit_event *event)
{
    begin_event(all, event->step);
    add_scalar(all, "batch.loss", event->batch_loss);
    add_scalar(all, "batch.learning_rate", event->learning_rate);
    return end_event(all);
}

static nacre_fit_answer hear(void *user, const nacre_fit_event *event)
{
    board *all = user;
    if (event->kind == NACRE_FIT_BEGIN) open_file(all, event);
    if (event->kind == NACRE_FIT_EPOCH) write_epoch(all, event);
    if (event->kind == NACRE_FIT_STEP && all->every > 0 && event->step > 0 && event->step % all->every == 0)
        write_step(all, event);
    return NACRE_FIT_GO_ON;
}

static void destroy(void *user)
{
    board *all = user;
    nacre_context *context = all->context;
    nc_appender_close(&all->file);
    nacre_buffer_destroy(&all->summary);
    nacre_buffer_destroy(&all->value);
    nacre_buffer_destroy(&all->event);
    nacre_buffer_destroy(&all->frame);
    nacre_release(context, all->path);
    nacre_release(context, all);
}

nacre_callback nacre_tensorboard_callback(nacre_context *context, const nacre_tensorboard_options *options)
{
    board *all = nacre_allocate(context, sizeof *all);
    if (!all) return (nacre_callback){0};
    *all = (board){.context = context,
                   .path = nacre_path_join(context, options->folder, "events.out.tfevents.nacre"),
                   .histograms = options->histograms,
                   .every = options->every,
                   .file = {.context = context, .file = -1},
                   .summary = nacre_buffer_create(context),
                   .value = nacre_buffer_create(context),
                   .event = nacre_buffer_create(context),
                   .frame = nacre_buffer_create(context)};
    if (all->path && nacre_make_directories(context, options->folder) == NACRE_OK)
        return (nacre_callback){hear, all, destroy};
    destroy(all);
    return (nacre_callback){0};
}
