/* Tables: quoting, headers, kinds, missing values, what is malformed; datasets of rows; the real sets where they are.
 */
#include "support.h"

static nacre_context *ctx;

static nacre_table *decode(const char *text, const nacre_table_options *options)
{
    return nacre_table_decode(ctx, "t.csv", text, strlen(text), options);
}

static double number_at(const nacre_table *table, int column, int64_t row)
{
    const nacre_column *c = nacre_table_column(table, column);
    return c && c->numbers ? c->numbers[row] : -1e9;
}

static const char *text_at(const nacre_table *table, int column, int64_t row)
{
    const nacre_column *c = nacre_table_column(table, column);
    return !c || !c->codes ? "(no category)" : c->codes[row] < 0 ? "(missing)" : c->categories[c->codes[row]];
}

/* ---- reading ---- */

static void cells_of_every_kind(void)
{
    nacre_table *table = decode("\xef\xbb\xbfsize, name ,\"a \"\"b\"\"\",empty\r\n"
                                "1.5, red ,\"x, y\",\r\n"
                                "\r\n"
                                "-2e1,\"dark\nred\",\"say \"\"hi\"\"\",\r\n"
                                "?,blue,z,",
                                NULL);
    NC_CHECK_OK(ctx);
    NC_REQUIRE(table);
    NC_CHECK_INT(nacre_table_rows(table), 3);
    NC_CHECK_INT(nacre_table_columns(table), 4);
    NC_CHECK_TEXT(nacre_table_column(table, 1)->name, "name");
    NC_CHECK_TEXT(nacre_table_column(table, 2)->name, "a \"b\"");
    NC_CHECK_NEAR(number_at(table, 0, 0), 1.5, 0);
    NC_CHECK_NEAR(number_at(table, 0, 1), -20, 0);
    NC_CHECK(isnan(number_at(table, 0, 2)));
    NC_CHECK_INT(nacre_table_column(table, 0)->missing, 1);
    NC_CHECK_TEXT(text_at(table, 1, 0), "red");
    NC_CHECK_TEXT(text_at(table, 1, 1), "dark\nred");
    NC_CHECK_TEXT(text_at(table, 2, 0), "x, y");
    NC_CHECK_TEXT(text_at(table, 2, 1), "say \"hi\"");
    NC_CHECK_INT(nacre_table_column(table, 3)->kind, NACRE_COLUMN_NUMERIC);
    NC_CHECK_INT(nacre_table_column(table, 3)->missing, 3);
    NC_CHECK_INT(nacre_table_line(table, 0), 2);
    NC_CHECK_INT(nacre_table_line(table, 1), 4);
    NC_CHECK_INT(nacre_table_line(table, 2), 6);
    NC_CHECK(nacre_table_column(table, 4) == NULL);
    nacre_table_destroy(table);
}

static void categories_are_sorted(void)
{
    nacre_table *table =
        decode("b,10\na,9\nb,10\nc,\na,100\n", &(nacre_table_options){.category = (const char *const[]){"1", NULL}});
    NC_REQUIRE(table);
    const nacre_column *letters = nacre_table_column(table, 0), *numbers = nacre_table_column(table, 1);
    NC_CHECK_INT(letters->category_count, 3);
    NC_CHECK_TEXT(letters->categories[0], "a");
    NC_CHECK_INT(letters->codes[0], 1);
    NC_CHECK_INT(numbers->kind, NACRE_COLUMN_CATEGORICAL);
    NC_CHECK_TEXT(numbers->categories[0], "9"); /* by value, not by byte */
    NC_CHECK_TEXT(numbers->categories[2], "100");
    NC_CHECK_INT(numbers->codes[3], -1);
    NC_CHECK_INT(numbers->missing, 1);
    nacre_table_destroy(table);
}

static void many_categories(void)
{
    nacre_buffer text = nacre_buffer_create(ctx);
    for (int i = 0; i < 5000; i++) nacre_buffer_print(&text, "w%d,%d\n", i * 7 % 5000, i);
    nacre_table *table = decode(text.data, NULL);
    NC_REQUIRE(table);
    NC_CHECK_INT(nacre_table_column(table, 0)->category_count, 5000);
    for (int i = 0; i < 5000; i += 333) {
        char word[16];
        snprintf(word, sizeof word, "w%d", i * 7 % 5000);
        NC_CHECK_TEXT(text_at(table, 0, i), word);
    }
    nacre_table_destroy(table);
    nacre_buffer_destroy(&text);
}

static void headers(void)
{
    static const struct {
        const char *text;
        int header, rows, columns;
        const char *first_name;
    } CASES[] = {
        {"a,b\n1,2\n3,4\n", 0, 2, 2, "a"},   {"1,2\n3,4\n", 0, 2, 2, "0"},
        {"x,y\nz,w\n", 0, 2, 2, "0"},        {"x,y\nz,w\n", 1, 1, 2, "x"},
        {"a,b\n1,2\n", -1, 2, 2, "0"},       {"a,b\n1,x,3\n2,y,4\n", 0, 2, 2, "a"},
        {"a;b\n1;2\n", 0, 1, 2, "a"},        {"a\tb\n1\t2\n", 0, 1, 2, "a"},
        {"1 2  3 \n4  5 6\n", 0, 2, 3, "0"}, {"\n\n a , b\n\n1,2\n\n\n", 0, 1, 2, "a"},
        {"word\n5\n6\n", 0, 2, 1, "word"},   {"a,b\n", 1, 0, 2, "a"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        nc_test = CASES[i].text;
        nacre_table *table = decode(CASES[i].text, &(nacre_table_options){.header = CASES[i].header});
        NC_CHECK_OK(ctx);
        NC_REQUIRE(table);
        NC_CHECK_INT(nacre_table_rows(table), CASES[i].rows);
        NC_CHECK_INT(nacre_table_columns(table), CASES[i].columns);
        NC_CHECK_TEXT(nacre_table_column(table, 0)->name, CASES[i].first_name);
        nacre_table_destroy(table);
    }
}

static void options(void)
{
    nacre_table *table = decode("% notes\n% more\n1, 'it''s', 5., none\n2, 'x', 6, 7\n",
                                &(nacre_table_options){.skip = 2,
                                                       .quote = '\'',
                                                       .trim = ".",
                                                       .missing = "none nil",
                                                       .columns = (const char *const[]){"a", "b", "c", "d", NULL},
                                                       .ignore = (const char *const[]){"a", NULL}});
    NC_CHECK_OK(ctx);
    NC_REQUIRE(table);
    NC_CHECK_INT(nacre_table_columns(table), 3);
    NC_CHECK_TEXT(text_at(table, 0, 0), "it's");
    NC_CHECK_NEAR(number_at(table, 1, 0), 5, 0);
    NC_CHECK(isnan(number_at(table, 2, 0)));
    NC_CHECK_INT(nacre_table_find(table, "c"), 1);
    NC_CHECK_INT(nacre_table_find(table, "-1"), 2);
    NC_CHECK_INT(nacre_table_find(table, "0"), 0);
    NC_CHECK_OK(ctx);
    NC_CHECK_INT(nacre_table_find(table, "3"), -1);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "no column '3' among the 3");
    nacre_table_destroy(table);
}

static void several_files(void)
{
    NC_CHECK_INT(nacre_file_write(ctx, nc_file("1.csv"), "x,y\n1,b\n2,a\n", 12), NACRE_OK);
    NC_CHECK_INT(nacre_file_write(ctx, nc_file("2.csv"), "x,y\n3,A\n", 8), NACRE_OK);
    NC_CHECK_INT(nacre_file_write(ctx, nc_file("3.csv"), "x,z\n3,A\n", 8), NACRE_OK);
    char first[256], second[256], third[256];
    snprintf(first, sizeof first, "%s", nc_file("1.csv"));
    snprintf(second, sizeof second, "%s", nc_file("2.csv"));
    snprintf(third, sizeof third, "%s", nc_file("3.csv"));
    nacre_table *table = nacre_table_read(ctx, (const char *const[]){first, second}, 2, NULL);
    NC_CHECK_OK(ctx);
    NC_REQUIRE(table);
    NC_CHECK_INT(nacre_table_rows(table), 3);
    NC_CHECK_INT(nacre_table_file_start(table, 1), 2);
    NC_CHECK_TEXT(nacre_table_file(table, 2), second);
    NC_CHECK_INT(nacre_table_line(table, 2), 2);
    NC_CHECK_INT(nacre_table_column(table, 1)->category_count, 3);
    NC_CHECK_TEXT(text_at(table, 1, 2), "A");
    nacre_table_destroy(table);
    NC_CHECK(nacre_table_read(ctx, (const char *const[]){first, third}, 2, NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "its header is not that of");
    NC_CHECK(nacre_table_read(ctx, (const char *const[]){nc_file("no.csv")}, 1, NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_NOT_FOUND, "no.csv");
    NC_CHECK(nacre_table_read(ctx, NULL, 0, NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "at least one file");
}

static void malformed(void)
{
    static const struct {
        const char *text, *message;
    } CASES[] = {
        {"", "no rows"},
        {"\n \n", "no rows"},
        {"a,b\n1,2\n\n3\n", "t.csv:4: 1 cells, the rows before have 2"},
        {"a,b\n1,2\n3,4,5\n", "t.csv:3: 3 cells, the rows before have 2"},
        {"a,b\n1,\"two\n3,4\n", "t.csv:2: a quote is opened and never closed"},
        {"a,b\n1,\"two\" 2\n", "t.csv:2: text after a closing quote"},
        {"a,b\n1,\"two\"\"\n", "t.csv:2: a quote is opened"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        nc_test = CASES[i].text;
        NC_CHECK(decode(CASES[i].text, NULL) == NULL);
        NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, CASES[i].message);
    }
    NC_CHECK(nacre_table_decode(ctx, "t.csv", "a,b\n1,\0\n", 9, NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "t.csv:2: a zero byte");
    NC_CHECK(decode("1,2\n", &(nacre_table_options){.columns = (const char *const[]){"x", NULL}}) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_ARGUMENT, "1 column names were given, the rows have 2 cells");
}

/* ---- datasets ---- */

static const char FLOWERS[] = "length,colour,count,kind\n"
                              "1.5,red,3,rose\n"
                              "2,blue,4,iris\n"
                              "2.5,red,5,iris\n"
                              "3,green,6,rose\n";

static void rows_become_samples(void)
{
    static const float EXPECTED[4][5] = {{1.5f, 0, 0, 1, 3}, {2, 1, 0, 0, 4}, {2.5f, 0, 0, 1, 5}, {3, 0, 1, 0, 6}};
    nacre_dataset *dataset = nacre_dataset_from_table(ctx, decode(FLOWERS, NULL), NULL);
    NC_REQUIRE(dataset);
    NC_CHECK_INT(nacre_dataset_count(dataset), 4);
    NC_CHECK(nacre_shape_equal(nacre_dataset_field(dataset, 0)->shape, NACRE_SHAPE(5)));
    NC_CHECK_INT(nacre_dataset_classes(dataset), 2);
    NC_CHECK_TEXT(nacre_dataset_class_name(dataset, 0), "iris");
    nacre_sample sample = {.context = ctx};
    for (int i = 0; i < 4; i++) {
        NC_CHECK_INT(nacre_dataset_get(dataset, i, &sample), NACRE_OK);
        for (int c = 0; c < 5; c++) NC_CHECK_NEAR(((const float *)sample.values[0].data)[c], EXPECTED[i][c], 0);
        NC_CHECK_INT(*(const int64_t *)sample.values[1].data, i == 0 || i == 3);
    }
    char origin[64];
    NC_CHECK_TEXT(nacre_dataset_origin(dataset, 2, origin, sizeof origin), "t.csv:4");
    nacre_dataset_destroy(dataset);
    dataset = nacre_dataset_from_table(ctx, decode(FLOWERS, NULL),
                                       &(nacre_dataset_options){.target = "length", .regression = true, .codes = true});
    NC_REQUIRE(dataset);
    NC_CHECK_INT(nacre_dataset_field(dataset, 1)->role, NACRE_ROLE_TARGET);
    NC_CHECK_INT(nacre_dataset_classes(dataset), 0);
    NC_CHECK_INT(nacre_dataset_get(dataset, 1, &sample), NACRE_OK);
    NC_CHECK_NEAR(((const float *)sample.values[0].data)[0], 0, 0); /* blue, green, red */
    NC_CHECK_NEAR(*(const float *)sample.values[1].data, 2, 0);
    nacre_dataset_destroy(dataset);
    dataset = nacre_dataset_from_table(ctx, decode(FLOWERS, NULL), &(nacre_dataset_options){.target = "count"});
    NC_REQUIRE(dataset);
    NC_CHECK_INT(nacre_dataset_classes(dataset), 4);
    NC_CHECK_TEXT(nacre_dataset_class_name(dataset, 3), "6");
    nacre_dataset_destroy(dataset);
    nacre_sample_release(&sample);
    NC_CHECK_OK(ctx);
}

static void missing_values(void)
{
    static const char TEXT[] = "a,b,c\n1,x,0\n?,y,1\n3,?,0\n";
    NC_CHECK(nacre_dataset_from_table(ctx, decode(TEXT, NULL), NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "t.csv:3: column 'a' is missing");
    nacre_dataset *dataset =
        nacre_dataset_from_table(ctx, decode(TEXT, NULL), &(nacre_dataset_options){.keep_missing = true});
    nacre_sample sample = {.context = ctx};
    NC_CHECK_INT(nacre_dataset_get(dataset, 1, &sample), NACRE_OK);
    NC_CHECK(isnan(((const float *)sample.values[0].data)[0]));
    NC_CHECK_INT(nacre_dataset_get(dataset, 2, &sample), NACRE_OK); /* an unknown category is none of them */
    NC_CHECK(((const float *)sample.values[0].data)[1] == 0 && ((const float *)sample.values[0].data)[2] == 0);
    nacre_sample_release(&sample);
    nacre_dataset_destroy(dataset);
    NC_CHECK_OK(ctx);
    NC_CHECK(nacre_dataset_from_table(ctx, decode(TEXT, NULL),
                                      &(nacre_dataset_options){.target = "b", .keep_missing = true}) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "t.csv:4: column 'b' is missing, and it is what to predict");
}

static void refused(void)
{
    static const char *const KINDS[] = {"iris", "tulip", NULL};
    static const struct {
        nacre_dataset_options options;
        nacre_status status;
        const char *message;
    } CASES[] = {
        {{.target = "colours"}, NACRE_ERROR_NOT_FOUND, "no column 'colours' among the 4; did you mean 'colour'?"},
        {{.target = "kind", .regression = true},
         NACRE_ERROR_FORMAT,
         "column 'kind' holds text; regression needs numbers"},
        {{.labels = KINDS}, NACRE_ERROR_FORMAT, "t.csv:2: column 'kind' is none of the classes"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        NC_CHECK(nacre_dataset_from_table(ctx, decode(FLOWERS, NULL), &CASES[i].options) == NULL);
        NC_CHECK_FAILED(ctx, CASES[i].status, CASES[i].message);
    }
    nacre_buffer text = nacre_buffer_create(ctx);
    for (int i = 0; i < 1500; i++) nacre_buffer_print(&text, "w%d,%d\n", i, i % 2);
    NC_CHECK(nacre_dataset_from_table(ctx, decode(text.data, NULL), NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "column '0' holds 1500 different texts; ignore it");
    nacre_buffer_clear(&text);
    for (int i = 0; i < 1500; i++) nacre_buffer_print(&text, "1,%d.5\n", i);
    NC_CHECK(nacre_dataset_from_table(ctx, decode(text.data, NULL), NULL) == NULL);
    NC_CHECK_FAILED(ctx, NACRE_ERROR_FORMAT, "is it a regression?");
    nacre_buffer_destroy(&text);
}

/* ---- memory ---- */

static bool read_flowers(nacre_context *context, void *user)
{
    (void)user;
    nacre_sample sample = {.context = context};
    nacre_table *table = nacre_table_decode(context, "t.csv", FLOWERS, sizeof FLOWERS - 1, NULL);
    nacre_dataset *dataset = nacre_dataset_from_table(context, table, NULL);
    nacre_table *numbers = nacre_table_decode(context, "n.csv", "a,\"b\"\"\"\n1,2\n3,4\n", 16, NULL);
    nacre_dataset *second = nacre_dataset_from_table(context, numbers, NULL);
    bool done = dataset && second && nacre_dataset_get(dataset, 1, &sample) == NACRE_OK;
    nacre_sample_release(&sample);
    nacre_dataset_destroy(dataset);
    nacre_dataset_destroy(second);
    return done;
}

static void out_of_memory(void)
{
    nc_fail_each_allocation(read_flowers, NULL);
}

int main(void)
{
    ctx = nacre_context_create(&(nacre_context_options){.threads = 1});
    NC_RUN(cells_of_every_kind);
    NC_RUN(categories_are_sorted);
    NC_RUN(many_categories);
    NC_RUN(headers);
    NC_RUN(options);
    NC_RUN(several_files);
    NC_RUN(malformed);
    NC_RUN(rows_become_samples);
    NC_RUN(missing_values);
    NC_RUN(refused);
    NC_RUN(out_of_memory);
    nacre_context_destroy(ctx);
    return nc_report();
}
