/* train/plot_sheet.c - figures side by side, and into which kind of file. */
#include "train/plot.h"

#include <string.h>
#include <strings.h>

nc_point nc_sheet_place(const nc_sheet *sheet, int index)
{
    nc_point place = {0};
    double width = 0;
    int rows = (sheet->count + sheet->columns - 1) / sheet->columns;
    for (int row = 0; row < rows; row++) {
        double x = 0, height = 0;
        for (int i = row * sheet->columns; i < (row + 1) * sheet->columns && i < sheet->count; i++) {
            nc_size size = nc_figure_size(&sheet->figures[i]);
            if (i == index) return (nc_point){x, place.y};
            x += size.width;
            height = size.height > height ? size.height : height;
        }
        width = x > width ? x : width;
        place.y += height;
    }
    return (nc_point){width, place.y};
}

nacre_status nc_sheet_check(nacre_context *context, const nc_sheet *sheet)
{
    if (sheet->count < 1 || sheet->columns < 1)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "a picture of %d figures in %d columns", sheet->count,
                          sheet->columns);
    nacre_status status = NACRE_OK;
    for (int i = 0; status == NACRE_OK && i < sheet->count; i++) status = nc_figure_check(context, &sheet->figures[i]);
    return status;
}

nacre_status nacre_figures_write(nacre_context *context, const nacre_figure *figures, int count, int columns,
                                 const char *path)
{
    const char *suffix = strrchr(path, '.');
    bool svg = suffix && strcasecmp(suffix, ".svg") == 0, png = suffix && strcasecmp(suffix, ".png") == 0;
    if (!svg && !png)
        return nacre_fail(context, NACRE_ERROR_ARGUMENT, "figure '%s': the name ends neither in .svg nor .png", path);
    nc_sheet sheet = {figures, count, columns < count ? columns : count};
    nacre_buffer out = nacre_buffer_create(context);
    nacre_status status = nc_sheet_check(context, &sheet);
    if (!status) status = svg ? nc_sheet_svg(context, &sheet, &out) : nc_sheet_png(context, &sheet, 0, &out);
    if (!status) status = nacre_file_write(context, path, out.data, out.size);
    nacre_buffer_destroy(&out);
    return status;
}

nacre_status nacre_figure_write(nacre_context *context, const nacre_figure *figure, const char *path)
{
    return nacre_figures_write(context, figure, 1, 1, path);
}
