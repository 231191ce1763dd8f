/* cli/terminal.c - colour, width, wrapped text, JSON: how results look. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool is_coloured(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM"); /* https://no-color.org */
    return isatty(fileno(stream)) && !(no_color && no_color[0]) && !(term && !strcmp(term, "dumb"));
}

const char *nc_style_code(FILE *stream, nc_style style)
{
    static const char *const codes[] = {[NC_PLAIN] = "\033[0m", [NC_BOLD] = "\033[1m",   [NC_DIM] = "\033[2m",
                                        [NC_RED] = "\033[31m",  [NC_GREEN] = "\033[32m", [NC_YELLOW] = "\033[33m"};
    return is_coloured(stream) ? codes[style] : "";
}

int nc_width(FILE *stream)
{
    struct winsize window;
    int width = isatty(fileno(stream)) && !ioctl(fileno(stream), TIOCGWINSZ, &window) ? window.ws_col : 80;
    return width < 60 ? 60 : width > 100 ? 100 : width;
}

void nc_print_wrapped(FILE *stream, const char *text, int column, int indent, int width)
{
    int used = column;
    bool line_start = true;
    while (*text) {
        int gap = 0;
        for (; *text == '\n' || *text == ' '; text++) gap += *text == '\n';
        int word = (int)strcspn(text, " \n");
        if (gap > 1 || (!line_start && used + 1 + word > width)) {
            fprintf(stream, gap > 1 ? "\n\n" : "\n");
            used = 0;
            line_start = true;
        }
        if (line_start && used < indent) used += fprintf(stream, "%*s", indent - used, "");
        if (!line_start && word) used += fprintf(stream, " ");
        used += fprintf(stream, "%.*s", word, text);
        line_start = false;
        text += word;
    }
    fprintf(stream, "\n");
}

const char *nc_size_text(int64_t bytes, char text[NC_SIZE_TEXT])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    size_t unit = 0;
    for (; size >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++) size /= 1024;
    bool whole = size == (double)(int64_t)size;
    snprintf(text, NC_SIZE_TEXT, "%.*f %s", whole ? 0 : 1, size, units[unit]);
    return text;
}

nc_exit nc_print_json(nc_call *call, cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (!text) {
        nacre_fail(call->context, NACRE_ERROR_MEMORY, "out of memory while writing JSON");
        return NC_EXIT_FAILED;
    }
    puts(text);
    cJSON_free(text);
    return NC_EXIT_DONE;
}
