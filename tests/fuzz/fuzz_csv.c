/* Any bytes as a table: either one clear failure, or columns that hold together, and a dataset of its rows or a clear
 * failure again. The first byte chooses the options. */
#include <nacre/data.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_column(const nacre_table *table, const nacre_column *column)
{
    int64_t missing = 0;
    if (!column->name || (column->numbers != NULL) == (column->codes != NULL)) abort();
    for (int64_t row = 0; row < nacre_table_rows(table); row++) {
        if (column->numbers)
            missing += isnan(column->numbers[row]) != 0;
        else if (column->codes[row] < -1 || column->codes[row] >= column->category_count)
            abort();
        else
            missing += column->codes[row] < 0;
    }
    if (missing != column->missing) abort();
    for (int i = 1; i < column->category_count; i++)
        if (!strcmp(column->categories[i - 1], column->categories[i])) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char DELIMITERS[] = {0, ',', ' ', '\t'};
    static nacre_context *context;
    if (!context) context = nacre_context_create(&(nacre_context_options){.threads = 1});
    if (size == 0) return 0;
    unsigned choice = *data++;
    nacre_table_options options = {.delimiter = DELIMITERS[choice & 3],
                                   .header = (int)(choice >> 2 & 3) % 3 - 1,
                                   .quote = choice & 16 ? '\'' : 0,
                                   .trim = choice & 32 ? "." : NULL,
                                   .skip = (int)(choice >> 6)};
    nacre_table *table = nacre_table_decode(context, "fuzz", (const char *)data, size - 1, &options);
    if ((table == NULL) != (nacre_check(context) != NACRE_OK)) abort();
    if (table) {
        for (int c = 0; c < nacre_table_columns(table); c++) check_column(table, nacre_table_column(table, c));
        for (int64_t row = 1; row < nacre_table_rows(table); row++)
            if (nacre_table_line(table, row) <= nacre_table_line(table, row - 1)) abort();
        nacre_dataset_options how = {.keep_missing = true, .regression = choice & 64};
        nacre_dataset *dataset = nacre_dataset_from_table(context, table, &how);
        if ((dataset == NULL) != (nacre_check(context) != NACRE_OK)) abort();
        nacre_dataset_destroy(dataset);
    }
    nacre_clear(context);
    return 0;
}
