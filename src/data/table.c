/* data/table.c - tables of numbers and categories out of delimited text.
 *
 * The text is read twice: once to count rows and to learn which columns are numeric, once to fill the columns.
 */
#include "data/csv.h"
#include "data/dataset.h"
#include "data/stream.h"
#include "data/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The distinct texts of a column, found by hash. */
typedef struct dictionary {
    const char **texts; /* by code, in order of appearance */
    int32_t *slots;     /* code + 1; 0: empty */
    int32_t count, slot_count;
} dictionary;

/* A column while it is filled. */
typedef struct filling {
    double *numbers; /* or: */
    int32_t *codes;
    dictionary words;
} filling;

typedef struct input {
    char *name, *text;
    size_t size;
    int64_t first_row;
} input;

struct nacre_table {
    nacre_context *context;
    nacre_pool pool; /* of names, numbers and codes */
    nacre_column *columns;
    int64_t *lines;
    int64_t rows;
    int column_count;
    input *inputs;
    int input_count;
};

/* What the first reading learns, and how the second goes about it. Indices are those of cells in a row. */
typedef struct plan {
    nacre_table *table;
    const nacre_table_options *options;
    int cells;                          /* in every row */
    bool header, numbered;              /* numbered: rows begin with a cell that the header does not name */
    bool *numeric;                      /* every cell is a number or missing */
    bool *filled;                       /* some cell is a number */
    bool *first_number, *first_missing; /* of the first row, which may be a header and is not counted above */
    int *targets;                       /* the column a cell goes to; -1: ignored */
    filling *fillings;                  /* by column */
} plan;

/* ---- texts ---- */

/* "classics.tar.gz:iris.csv" -> the length of "classics.tar.gz"; 0: not of that form. */
static size_t archive_length(const char *path)
{
    char archive[4096];
    const char *colon = strrchr(path, ':');
    size_t length = colon ? (size_t)(colon - path) : 0;
    if (length == 0 || length >= sizeof archive) return 0;
    memcpy(archive, path, length);
    archive[length] = 0;
    return nc_archive_has_name(archive) ? length : 0;
}

bool nc_is_table_name(const char *path)
{
    static const char *const ENDINGS[] = {".csv", ".tsv", ".txt", ".data", ".csv.gz", ".tsv.gz", ".txt.gz", ".data.gz"};
    for (size_t i = 0; i < sizeof ENDINGS / sizeof *ENDINGS; i++)
        if (nc_ends_with(path, ENDINGS[i])) return true;
    return archive_length(path) > 0;
}

static bool fits(const char *member, const char *wanted)
{
    if (!wanted) return nc_is_table_name(member);
    size_t size = strlen(member), wanted_size = strlen(wanted);
    return nc_ends_with(member, wanted) && (size == wanted_size || member[size - wanted_size - 1] == '/');
}

/* The member called `wanted`, in whatever folder; NULL: the only table. */
static nacre_status read_member(nacre_context *context, const char *path, const char *wanted, nacre_buffer *text)
{
    nc_archive *archive = nc_archive_open(context, path);
    nacre_status status = archive ? NACRE_OK : nacre_check(context);
    int found = 0;
    for (const char *member; status == NACRE_OK;) {
        status = nc_archive_next(archive, &member);
        if (status != NACRE_OK || !member) break;
        if (fits(member, wanted) && found++ == 0) status = nc_archive_read(archive, text);
    }
    nc_archive_close(archive);
    if (status == NACRE_OK && found != 1)
        status = nacre_fail(context, NACRE_ERROR_NOT_FOUND, "%s: %d tables%s%s in it; name one as in '%s:name.csv'",
                            path, found, wanted ? " called " : "", wanted ? wanted : "", path);
    return status;
}

static nacre_status read_archived(nacre_context *context, const char *path, nacre_buffer *text)
{
    size_t length = archive_length(path);
    if (length == 0) return read_member(context, path, NULL, text);
    char *archive = nacre_duplicate(context, path);
    if (!archive) return NACRE_ERROR_MEMORY;
    archive[length] = 0;
    nacre_status status = read_member(context, archive, path + length + 1, text);
    nacre_release(context, archive);
    return status;
}

static nacre_status read_text(nacre_context *context, const char *path, input *in)
{
    nacre_buffer text = nacre_buffer_create(context);
    nacre_status status;
    in->name = nacre_duplicate(context, path);
    if (!in->name) return NACRE_ERROR_MEMORY;
    if (nc_archive_has_name(path) || archive_length(path)) {
        status = read_archived(context, path, &text);
    } else {
        nc_stream *stream = nc_stream_open(context, path);
        status = stream ? nc_stream_read_all(stream, &text) : nacre_check(context);
        nc_stream_close(stream);
    }
    if (status == NACRE_OK) {
        in->text = nacre_buffer_take(&text, &in->size);
        if (!in->text) status = NACRE_ERROR_MEMORY;
    }
    nacre_buffer_destroy(&text);
    return status;
}

/* ---- cells ---- */

static bool is_missing(const plan *p, nc_cell cell)
{
    if (cell.size == 0) return true;
    const char *words = p->options->missing ? p->options->missing : "? NA N/A NaN nan null";
    while (*words) {
        size_t size = strcspn(words, " ");
        if (size == cell.size && !memcmp(words, cell.text, size)) return true;
        words += size + strspn(words + size, " ");
    }
    return false;
}

static nc_csv open_csv(const plan *p, const input *in)
{
    const nacre_table_options *options = p->options;
    nc_csv_style style = {options->delimiter, options->quote, options->trim, options->skip};
    bool tabs = nc_ends_with(in->name, ".tsv") || nc_ends_with(in->name, ".tsv.gz");
    if (!style.delimiter && tabs) style.delimiter = '\t';
    return nc_csv_open(p->table->context, in->name, in->text, in->size, style);
}

/* ---- first reading ---- */

static nacre_status set_cells(plan *p, int cells)
{
    nacre_pool *pool = &p->table->pool;
    size_t size = (size_t)cells * sizeof(bool);
    p->cells = cells;
    p->numeric = nacre_pool_allocate(pool, size);
    p->filled = nacre_pool_allocate(pool, size);
    p->first_number = nacre_pool_allocate(pool, size);
    p->first_missing = nacre_pool_allocate(pool, size);
    p->targets = nacre_pool_allocate(pool, (size_t)cells * sizeof *p->targets);
    if (!p->numeric || !p->filled || !p->first_number || !p->first_missing || !p->targets) return NACRE_ERROR_MEMORY;
    memset(p->numeric, true, size);
    return NACRE_OK;
}

static void learn(plan *p, const nc_csv *csv, bool first)
{
    for (int i = 0; i < csv->count; i++) {
        double value;
        bool missing = is_missing(p, csv->cells[i]), number = !missing && nc_cell_number(csv->cells[i], &value);
        if (first) {
            p->first_number[i] = number;
            p->first_missing[i] = missing;
        } else {
            p->numeric[i] = p->numeric[i] && (missing || number);
            p->filled[i] = p->filled[i] || number;
        }
    }
}

/* Only the very first row may lack a cell: then it is a header that does not name the rows' numbers. */
static nacre_status learn_row(plan *p, const nc_csv *csv, bool first, bool second)
{
    nacre_status status = NACRE_OK;
    if (first || (second && csv->count == p->cells + 1)) {
        p->numbered = second;
        status = set_cells(p, csv->count);
    } else if (csv->count != p->cells) {
        status = nacre_fail(p->table->context, NACRE_ERROR_FORMAT, "%s:%lld: %d cells, the rows before have %d",
                            csv->name, (long long)csv->row_line, csv->count, p->cells);
    }
    if (status == NACRE_OK) learn(p, csv, first);
    return status;
}

/* The header of a further file must be that of the first. */
static nacre_status check_header(plan *p, nc_csv *csv)
{
    nc_csv first = open_csv(p, &p->table->inputs[0]);
    bool more;
    nacre_status status = nc_csv_next(&first, &more);
    if (status == NACRE_OK) status = nc_csv_next(csv, &more);
    bool same = status == NACRE_OK && more && first.count == csv->count;
    for (int i = 0; same && i < csv->count; i++)
        same = first.cells[i].size == csv->cells[i].size &&
               !memcmp(first.cells[i].text, csv->cells[i].text, csv->cells[i].size);
    if (status == NACRE_OK && !same)
        status = nacre_fail(p->table->context, NACRE_ERROR_FORMAT, "%s: its header is not that of %s", csv->name,
                            first.name);
    nc_csv_close(&first);
    return status;
}

static nacre_status scan_text(plan *p, const input *in, bool first_text)
{
    nc_csv csv = open_csv(p, in);
    nacre_status status = p->header ? check_header(p, &csv) : NACRE_OK;
    bool more = true;
    for (int64_t row = 0; status == NACRE_OK; row++) {
        status = nc_csv_next(&csv, &more);
        if (status != NACRE_OK || !more) break;
        status = learn_row(p, &csv, first_text && row == 0, first_text && row == 1);
        p->table->rows++;
    }
    nc_csv_close(&csv);
    return status;
}

static bool looks_like_header(const plan *p)
{
    bool text_above_numbers = false;
    for (int i = 0; i < p->cells; i++) {
        if (p->first_number[i]) return false;
        if (p->numeric[i] && p->filled[i]) text_above_numbers = true;
    }
    return text_above_numbers;
}

/* After the first text: is its first row a header? If not, its cells count as well. */
static nacre_status settle_header(plan *p)
{
    if (p->cells == 0)
        return nacre_fail(p->table->context, NACRE_ERROR_FORMAT, "%s: no rows in it", p->table->inputs[0].name);
    p->header = p->numbered || p->options->header > 0 || (p->options->header == 0 && looks_like_header(p));
    if (p->header)
        p->table->rows--;
    else
        for (int i = 0; i < p->cells; i++) p->numeric[i] = p->numeric[i] && (p->first_number[i] || p->first_missing[i]);
    return NACRE_OK;
}

static nacre_status scan_texts(plan *p)
{
    nacre_status status = scan_text(p, &p->table->inputs[0], true);
    if (status == NACRE_OK) status = settle_header(p);
    for (int i = 1; status == NACRE_OK && i < p->table->input_count; i++)
        status = scan_text(p, &p->table->inputs[i], false);
    return status;
}

/* ---- columns ---- */

static bool is_listed(const char *const *list, const char *name, int index)
{
    char number[16];
    snprintf(number, sizeof number, "%d", index);
    for (int i = 0; list && list[i]; i++)
        if (!strcmp(list[i], name) || !strcmp(list[i], number)) return true;
    return false;
}

static const char *name_column(const plan *p, const nc_csv *header, int index)
{
    char text[256];
    int named = index - p->numbered;
    if (p->options->columns)
        snprintf(text, sizeof text, "%s", p->options->columns[index]);
    else if (p->header && named >= 0 && header->cells[named].size)
        nc_cell_copy(header->cells[named], text, sizeof text);
    else
        snprintf(text, sizeof text, "%d", index);
    return nacre_pool_copy(&p->table->pool, text, strlen(text));
}

static nacre_status add_column(plan *p, const nc_csv *header, int index)
{
    nacre_table *table = p->table;
    p->targets[index] = -1;
    const char *name = name_column(p, header, index);
    if (!name) return NACRE_ERROR_MEMORY;
    if ((p->numbered && index == 0) || is_listed(p->options->ignore, name, index)) return NACRE_OK;
    nacre_column *column = &table->columns[table->column_count];
    filling *fill = &p->fillings[table->column_count];
    p->targets[index] = table->column_count++;
    column->name = name;
    size_t rows = (size_t)(table->rows ? table->rows : 1);
    if (p->numeric[index] && !is_listed(p->options->category, name, index)) {
        column->kind = NACRE_COLUMN_NUMERIC;
        column->numbers = fill->numbers = nacre_pool_allocate(&table->pool, rows * sizeof *fill->numbers);
        return fill->numbers ? NACRE_OK : NACRE_ERROR_MEMORY;
    }
    column->kind = NACRE_COLUMN_CATEGORICAL;
    column->codes = fill->codes = nacre_pool_allocate(&table->pool, rows * sizeof *fill->codes);
    return fill->codes ? NACRE_OK : NACRE_ERROR_MEMORY;
}

static nacre_status check_names(const plan *p)
{
    int given = nc_count_names(p->options->columns);
    if (p->options->columns && given != p->cells)
        return nacre_fail(p->table->context, NACRE_ERROR_ARGUMENT,
                          "%s: %d column names were given, the rows have %d cells", p->table->inputs[0].name, given,
                          p->cells);
    return NACRE_OK;
}

static nacre_status make_columns(plan *p)
{
    nacre_table *table = p->table;
    size_t cells = (size_t)(p->cells ? p->cells : 1);
    table->columns = nacre_pool_allocate(&table->pool, cells * sizeof *table->columns);
    table->lines = nacre_pool_allocate(&table->pool, (size_t)(table->rows ? table->rows : 1) * sizeof *table->lines);
    p->fillings = nacre_pool_allocate(&table->pool, cells * sizeof *p->fillings);
    if (!table->columns || !table->lines || !p->fillings) return NACRE_ERROR_MEMORY;
    nacre_status status = check_names(p);
    nc_csv header = open_csv(p, &table->inputs[0]);
    bool more;
    if (status == NACRE_OK) status = nc_csv_next(&header, &more);
    for (int i = 0; status == NACRE_OK && i < p->cells; i++) status = add_column(p, &header, i);
    nc_csv_close(&header);
    return status;
}

/* ---- categories ---- */

static uint32_t hash_text(const char *text, size_t size) /* FNV-1a */
{
    uint32_t hash = 0x811c9dc5u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)text[i]) * 0x01000193u;
    return hash;
}

static int32_t *find_slot(const dictionary *words, const char *text, size_t size)
{
    uint32_t at = hash_text(text, size);
    for (;; at++) {
        int32_t *slot = &words->slots[at & (uint32_t)(words->slot_count - 1)];
        if (!*slot || (!strncmp(words->texts[*slot - 1], text, size) && !words->texts[*slot - 1][size])) return slot;
    }
}

static nacre_status grow(nacre_context *context, dictionary *words)
{
    dictionary larger = {.slot_count = words->slot_count ? words->slot_count * 2 : 64, .count = words->count};
    larger.slots = nacre_allocate(context, (size_t)larger.slot_count * sizeof *larger.slots);
    if (!larger.slots) return NACRE_ERROR_MEMORY;
    larger.texts = nacre_resize(context, words->texts, (size_t)larger.slot_count / 2 * sizeof *larger.texts);
    if (!larger.texts) {
        nacre_release(context, larger.slots);
        return NACRE_ERROR_MEMORY;
    }
    for (int32_t i = 0; i < larger.count; i++) *find_slot(&larger, larger.texts[i], strlen(larger.texts[i])) = i + 1;
    nacre_release(context, words->slots);
    *words = larger;
    return NACRE_OK;
}

/* The text's code, a new one if it is new; -1 when there is no memory. */
static int32_t encode(nacre_table *table, dictionary *words, const char *text, size_t size)
{
    if (words->count * 2 >= words->slot_count && grow(table->context, words) != NACRE_OK) return -1;
    int32_t *slot = find_slot(words, text, size);
    if (*slot) return *slot - 1;
    words->texts[words->count] = nacre_pool_copy(&table->pool, text, size);
    if (!words->texts[words->count]) return -1;
    *slot = ++words->count;
    return words->count - 1;
}

typedef struct category {
    const char *text;
    double number;
    int32_t code;
} category;

static int compare_texts(const void *a, const void *b)
{
    return strcmp(((const category *)a)->text, ((const category *)b)->text);
}

static int compare_numbers(const void *a, const void *b)
{
    double x = ((const category *)a)->number, y = ((const category *)b)->number;
    return x < y ? -1 : x > y ? 1 : compare_texts(a, b);
}

/* Codes in the order of the sorted categories instead of that of appearance. */
static nacre_status sort_categories(nacre_table *table, nacre_column *column, const filling *fill)
{
    const dictionary *words = &fill->words;
    nacre_context *context = table->context;
    size_t count = (size_t)words->count;
    category *sorted = nacre_allocate(context, (count + 1) * sizeof *sorted);
    int32_t *renamed = nacre_allocate(context, (count + 1) * sizeof *renamed);
    const char **names = nacre_pool_allocate(&table->pool, (count + 1) * sizeof *names);
    bool numbers = true;
    if (sorted && renamed && names) {
        for (size_t i = 0; i < count; i++) {
            sorted[i] = (category){words->texts[i], 0, (int32_t)i};
            numbers = nacre_parse_number(words->texts[i], &sorted[i].number) && numbers;
        }
        qsort(sorted, count, sizeof *sorted, numbers ? compare_numbers : compare_texts);
        for (size_t i = 0; i < count; i++) {
            names[i] = sorted[i].text;
            renamed[sorted[i].code] = (int32_t)i;
        }
        for (int64_t row = 0; row < table->rows; row++)
            if (fill->codes[row] >= 0) fill->codes[row] = renamed[fill->codes[row]];
        column->categories = names;
        column->category_count = (int)count;
    }
    nacre_release(context, sorted);
    nacre_release(context, renamed);
    return sorted && renamed && names ? NACRE_OK : NACRE_ERROR_MEMORY;
}

/* ---- second reading ---- */

static nacre_status store_text(nacre_table *table, filling *fill, nc_cell cell, int64_t row)
{
    const char *content = cell.text;
    char *copy = NULL;
    if (cell.doubled) {
        content = copy = nacre_allocate(table->context, cell.size + 1);
        if (!copy) return NACRE_ERROR_MEMORY;
        cell.size = nc_cell_copy(cell, copy, cell.size + 1);
    }
    fill->codes[row] = encode(table, &fill->words, content, cell.size);
    nacre_release(table->context, copy);
    return fill->codes[row] >= 0 ? NACRE_OK : NACRE_ERROR_MEMORY;
}

static nacre_status store_row(plan *p, const nc_csv *csv, int64_t row)
{
    nacre_status status = NACRE_OK;
    p->table->lines[row] = csv->row_line;
    for (int i = 0; status == NACRE_OK && i < csv->count; i++) {
        if (p->targets[i] < 0) continue;
        filling *fill = &p->fillings[p->targets[i]];
        bool missing = is_missing(p, csv->cells[i]);
        p->table->columns[p->targets[i]].missing += missing;
        if (fill->numbers) {
            if (missing || !nc_cell_number(csv->cells[i], &fill->numbers[row])) fill->numbers[row] = NAN;
        } else if (missing) {
            fill->codes[row] = -1;
        } else {
            status = store_text(p->table, fill, csv->cells[i], row);
        }
    }
    return status;
}

static nacre_status fill_columns(plan *p)
{
    nacre_table *table = p->table;
    nacre_status status = NACRE_OK;
    int64_t row = 0;
    for (int i = 0; status == NACRE_OK && i < table->input_count; i++) {
        nc_csv csv = open_csv(p, &table->inputs[i]);
        bool more = true;
        table->inputs[i].first_row = row;
        if (p->header) status = nc_csv_next(&csv, &more);
        while (status == NACRE_OK) {
            status = nc_csv_next(&csv, &more);
            if (status != NACRE_OK || !more) break;
            status = store_row(p, &csv, row++);
        }
        nc_csv_close(&csv);
    }
    for (int c = 0; status == NACRE_OK && c < table->column_count; c++)
        if (table->columns[c].codes) status = sort_categories(table, &table->columns[c], &p->fillings[c]);
    return status;
}

/* ---- tables ---- */

static nacre_status build(nacre_table *table, const nacre_table_options *options)
{
    plan p = {.table = table, .options = options};
    nacre_status status = scan_texts(&p);
    if (status == NACRE_OK) status = make_columns(&p);
    if (status == NACRE_OK) status = fill_columns(&p);
    for (int c = 0; p.fillings && c < table->column_count; c++) {
        nacre_release(table->context, p.fillings[c].words.texts);
        nacre_release(table->context, p.fillings[c].words.slots);
    }
    for (int i = 0; i < table->input_count; i++) { /* the texts have served */
        nacre_release(table->context, table->inputs[i].text);
        table->inputs[i].text = NULL;
    }
    return status;
}

static nacre_table *create_table(nacre_context *context, int inputs)
{
    nacre_table *table = nacre_allocate(context, sizeof *table);
    if (!table) return NULL;
    table->context = context;
    table->pool.context = context;
    table->inputs = nacre_allocate(context, (size_t)inputs * sizeof *table->inputs);
    if (table->inputs) return table;
    nacre_table_destroy(table);
    return NULL;
}

static nacre_table *finish_table(nacre_table *table, nacre_status status, const nacre_table_options *options)
{
    static const nacre_table_options DEFAULTS;
    if (status == NACRE_OK) status = build(table, options ? options : &DEFAULTS);
    if (status == NACRE_OK) return table;
    nacre_table_destroy(table);
    return NULL;
}

nacre_table *nacre_table_read(nacre_context *context, const char *const *paths, int path_count,
                              const nacre_table_options *options)
{
    if (path_count < 1) {
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "a table needs at least one file");
        return NULL;
    }
    nacre_table *table = create_table(context, path_count);
    if (!table) return NULL;
    nacre_status status = NACRE_OK;
    for (; status == NACRE_OK && table->input_count < path_count; table->input_count++)
        status = read_text(context, paths[table->input_count], &table->inputs[table->input_count]);
    return finish_table(table, status, options);
}

nacre_table *nacre_table_decode(nacre_context *context, const char *name, const char *text, size_t size,
                                const nacre_table_options *options)
{
    nacre_table *table = create_table(context, 1);
    if (!table) return NULL;
    input *in = &table->inputs[table->input_count++];
    in->name = nacre_duplicate(context, name);
    in->text = nacre_allocate(context, size + 1);
    in->size = size;
    if (in->text && size) memcpy(in->text, text, size);
    return finish_table(table, in->name && in->text ? NACRE_OK : NACRE_ERROR_MEMORY, options);
}

void nacre_table_destroy(nacre_table *table)
{
    if (!table) return;
    for (int i = 0; i < table->input_count; i++) {
        nacre_release(table->context, table->inputs[i].name);
        nacre_release(table->context, table->inputs[i].text);
    }
    nacre_release(table->context, table->inputs);
    nacre_pool_destroy(&table->pool);
    nacre_release(table->context, table);
}

int64_t nacre_table_rows(const nacre_table *table)
{
    return table ? table->rows : 0;
}

int nacre_table_columns(const nacre_table *table)
{
    return table ? table->column_count : 0;
}

const nacre_column *nacre_table_column(const nacre_table *table, int index)
{
    return index >= 0 && index < nacre_table_columns(table) ? &table->columns[index] : NULL;
}

int nacre_table_find(const nacre_table *table, const char *column)
{
    if (!table) return -1;
    for (int i = 0; i < table->column_count; i++)
        if (!strcmp(table->columns[i].name, column)) return i;
    char *end;
    long number = strtol(column, &end, 10);
    if (*column && !*end && number >= -table->column_count && number < table->column_count)
        return (int)(number < 0 ? number + table->column_count : number);
    const char **names = nacre_allocate(table->context, ((size_t)table->column_count + 1) * sizeof *names);
    if (!names) return -1;
    for (int i = 0; i < table->column_count; i++) names[i] = table->columns[i].name;
    const char *near = nacre_nearest(column, names);
    nacre_fail(table->context, NACRE_ERROR_NOT_FOUND, "%s: no column '%s' among the %d%s%s%s", table->inputs[0].name,
               column, table->column_count, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    nacre_release(table->context, names);
    return -1;
}

int64_t nacre_table_line(const nacre_table *table, int64_t row)
{
    return table && row >= 0 && row < table->rows ? table->lines[row] : -1;
}

int64_t nacre_table_file_start(const nacre_table *table, int path_index)
{
    return table && path_index >= 0 && path_index < table->input_count ? table->inputs[path_index].first_row : -1;
}

const char *nacre_table_file(const nacre_table *table, int64_t row)
{
    if (!table || table->input_count == 0) return "";
    int i = table->input_count - 1;
    while (i > 0 && table->inputs[i].first_row > row) i--;
    return table->inputs[i].name;
}
