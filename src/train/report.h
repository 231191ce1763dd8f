/* train/report.h - what the parts of the HTML report share. */
#ifndef NC_TRAIN_REPORT_H
#define NC_TRAIN_REPORT_H

#include "train/plot.h"

/* The style sheet (report_style.c), without that of the figures. */
extern const char nc_report_style[];

/* Appends <img> with the picture inside, scaled down so that it has at most about `most_bytes` of pixels
 * (report_image.c). Nothing if there are no pixels, or this build cannot encode them. */
nacre_status nc_put_image(nacre_context *context, const nacre_image *image, size_t most_bytes, const char *alt,
                          nacre_buffer *out);

#endif
