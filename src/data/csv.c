/* data/csv.c - rows of cells out of delimited text. */
#include "data/csv.h"

#include <nacre/io.h>

#include <string.h>

enum { MAX_COLUMNS = 1 << 16 };

static nacre_status fail_line(nc_csv *csv, int64_t line, const char *what)
{
    return nacre_fail(csv->context, NACRE_ERROR_FORMAT, "%s:%lld: %s", csv->name, (long long)line, what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool ends_row(const nc_csv *csv)
{
    return csv->at == csv->end || *csv->at == '\n' || *csv->at == '\r';
}

/* Of the candidates outside of quotes in the first row the most frequent one. */
static char find_delimiter(const char *text, const char *end, char quote)
{
    static const char CANDIDATES[] = {',', ';', '\t', ' '};
    int counts[4] = {0}, best = 0;
    bool quoted = false;
    while (text < end && (*text == '\n' || *text == '\r' || is_blank(*text))) text++;
    for (; text < end && (quoted || (*text != '\n' && *text != '\r')); text++) {
        if (*text == quote) quoted = !quoted;
        for (int i = 0; i < 4 && !quoted; i++) counts[i] += *text == CANDIDATES[i];
    }
    for (int i = 1; i < 3; i++)
        if (counts[i] > counts[best]) best = i;
    return counts[best] ? CANDIDATES[best] : counts[3] ? ' ' : ',';
}

nc_csv nc_csv_open(nacre_context *context, const char *name, const char *text, size_t size, nc_csv_style style)
{
    nc_csv csv = {.context = context, .name = name, .at = text, .end = text + size, .line = 1, .style = style};
    if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) csv.at += 3;
    for (int skip = style.skip; skip > 0 && csv.at < csv.end; csv.at++)
        if (*csv.at == '\n') {
            csv.line++;
            skip--;
        }
    if (!csv.style.quote) csv.style.quote = '"';
    if (!csv.style.delimiter) csv.style.delimiter = find_delimiter(csv.at, csv.end, csv.style.quote);
    return csv;
}

void nc_csv_close(nc_csv *csv)
{
    nacre_release(csv->context, csv->cells);
}

/* A tab may be the delimiter: then it is no blank. */
static void skip_blanks(nc_csv *csv)
{
    while (csv->at < csv->end && is_blank(*csv->at) && *csv->at != (csv->style.delimiter == '\t' ? '\t' : 0)) csv->at++;
}

static void end_line(nc_csv *csv)
{
    if (csv->at < csv->end && *csv->at == '\r') csv->at++;
    if (csv->at < csv->end && *csv->at == '\n') csv->at++;
    csv->line++;
}

static nacre_status scan_quoted(nc_csv *csv, nc_cell *cell)
{
    int64_t opened = csv->line;
    char quote = csv->style.quote;
    *cell = (nc_cell){.text = ++csv->at};
    for (; csv->at < csv->end; csv->at++) {
        if (*csv->at == '\n') csv->line++;
        if (*csv->at == 0) return fail_line(csv, csv->line, "a zero byte; this is no text");
        if (*csv->at != quote) continue;
        if (csv->at + 1 == csv->end || csv->at[1] != quote) break;
        cell->doubled = quote;
        csv->at++;
    }
    if (csv->at == csv->end) return fail_line(csv, opened, "a quote is opened and never closed");
    cell->size = (size_t)(csv->at++ - cell->text);
    skip_blanks(csv);
    if (!ends_row(csv) && *csv->at != csv->style.delimiter && !(csv->style.delimiter == ' ' && is_blank(csv->at[-1])))
        return fail_line(csv, csv->line, "text after a closing quote; quotes within a cell are written twice");
    return NACRE_OK;
}

static nacre_status scan_plain(nc_csv *csv, nc_cell *cell)
{
    *cell = (nc_cell){.text = csv->at};
    bool blanks = csv->style.delimiter == ' ';
    for (; !ends_row(csv) && (blanks ? !is_blank(*csv->at) : *csv->at != csv->style.delimiter); csv->at++)
        if (*csv->at == 0) return fail_line(csv, csv->line, "a zero byte; this is no text");
    const char *end = csv->at;
    const char *trim = csv->style.trim ? csv->style.trim : "";
    while (end > cell->text && (is_blank(end[-1]) || strchr(trim, end[-1]))) end--;
    cell->size = (size_t)(end - cell->text);
    return NACRE_OK;
}

static nacre_status scan_cell(nc_csv *csv)
{
    if (csv->count == csv->capacity) {
        int capacity = csv->capacity ? csv->capacity * 2 : 32;
        if (capacity > MAX_COLUMNS) return fail_line(csv, csv->row_line, "more than 65536 columns");
        nc_cell *cells = nacre_resize(csv->context, csv->cells, (size_t)capacity * sizeof *cells);
        if (!cells) return NACRE_ERROR_MEMORY;
        csv->cells = cells;
        csv->capacity = capacity;
    }
    nc_cell *cell = &csv->cells[csv->count++];
    return csv->at < csv->end && *csv->at == csv->style.quote ? scan_quoted(csv, cell) : scan_plain(csv, cell);
}

/* Moves past the delimiter to the next cell of the row; false at the row's end. */
static bool next_cell(nc_csv *csv)
{
    skip_blanks(csv);
    if (ends_row(csv)) return false;
    if (csv->style.delimiter == ' ') return true;
    csv->at++;
    skip_blanks(csv);
    return true;
}

static nacre_status scan_row(nc_csv *csv)
{
    csv->count = 0;
    csv->row_line = csv->line;
    skip_blanks(csv);
    nacre_status status;
    do status = scan_cell(csv);
    while (status == NACRE_OK && next_cell(csv));
    if (status == NACRE_OK) end_line(csv);
    return status;
}

nacre_status nc_csv_next(nc_csv *csv, bool *more)
{
    nacre_status status = NACRE_OK;
    for (*more = false; status == NACRE_OK && !*more && csv->at < csv->end;) {
        status = scan_row(csv);
        *more = status == NACRE_OK && (csv->count > 1 || csv->cells[0].size > 0);
    }
    return status;
}

size_t nc_cell_copy(nc_cell cell, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < cell.size; i++) {
        if (length + 1 < size) text[length] = cell.text[i];
        length++;
        if (cell.doubled && cell.text[i] == cell.doubled) i++;
    }
    if (size) text[length < size ? length : size - 1] = 0;
    return length;
}

bool nc_cell_number(nc_cell cell, double *value)
{
    char text[128];                                                     /* longer numbers are taken for text */
    while (cell.size && is_blank(*cell.text)) cell.text++, cell.size--; /* within quotes */
    while (cell.size && is_blank(cell.text[cell.size - 1])) cell.size--;
    return nc_cell_copy(cell, text, sizeof text) < sizeof text && nacre_parse_number(text, value);
}
