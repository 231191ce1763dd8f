/* data/csv.h - rows of cells out of delimited text (RFC 4180 and what is found in the wild). */
#ifndef NC_DATA_CSV_H
#define NC_DATA_CSV_H

#include <nacre/nacre.h>

/* A cell as it stands in the text, without the blanks and quotes around it. */
typedef struct nc_cell {
    const char *text;
    size_t size;
    char doubled; /* a quote that is written twice within; 0: none */
} nc_cell;

typedef struct nc_csv_style {
    char delimiter;   /* ' ': runs of blanks; 0: found out */
    char quote;       /* 0: " */
    const char *trim; /* cut from the end of cells without quotes; NULL: nothing */
    int skip;         /* lines at the beginning */
} nc_csv_style;

typedef struct nc_csv {
    nacre_context *context;
    const char *name; /* for messages */
    const char *at, *end;
    nc_csv_style style;
    int64_t line;     /* of `at`, from 1 */
    int64_t row_line; /* where the last row began */
    nc_cell *cells;   /* of the last row */
    int count, capacity;
} nc_csv;

/* A byte order mark is skipped. */
nc_csv nc_csv_open(nacre_context *context, const char *name, const char *text, size_t size, nc_csv_style style);
void nc_csv_close(nc_csv *csv);
/* The next row with any cell that is not empty, in csv->cells; *more false at the end. */
nacre_status nc_csv_next(nc_csv *csv, bool *more);

/* The cell's content with quotes undoubled, 0-terminated; what does not fit is cut. Returns the whole length. */
size_t nc_cell_copy(nc_cell cell, char *text, size_t size);
bool nc_cell_number(nc_cell cell, double *value);

#endif
