/* data/glyphs.c - digits drawn by the program itself.
 *
 * A hand is a few strokes of a digit: smooth curves through points in a box 70 wide and 100 high. A sample takes one,
 * moves its points a little, slants, turns, stretches and bends it, and draws it with a pen of some width and pressure,
 * some blur and some noise. Only integers and the four operations with square root are used, so a sample has the same
 * bits on any machine.
 */
#include "data/dataset.h"

#include <nacre/random.h>

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    SIDE = 28,       /* pixels */
    BOX = 100,       /* units of the stroke font from top to bottom */
    GRID = 4,        /* nodes of the elastic distortion on each axis */
    SPAN = 5,        /* straight pieces between two points of a curve */
    MAX_POINTS = 16, /* of a stroke */
    DEFAULT_COUNT = 12000,
    UP = -1, /* lift the pen: the next point begins a stroke */
    END = -2
};

/* Strokes as x, y pairs. */
static const signed char HANDS[][64] = {
    {38, 2, 14, 18, 4, 50, 14, 84, 36, 98, 58, 84, 66, 50, 58, 16, 38, 2, END},
    {46, 6, 22, 10, 8, 42, 14, 82, 36, 98, 58, 80, 64, 44, 52, 12, 30, 2, END},
    {34, 0, 18, 22, 12, 54, 20, 86, 36, 99, 52, 86, 56, 52, 50, 18, 32, 1, END},

    {36, 0, 35, 50, 34, 100, END},
    {14, 24, 38, 2, UP, 38, 2, 37, 50, 36, 100, END},
    {16, 22, 38, 2, UP, 38, 2, 37, 50, 36, 99, UP, 14, 99, 58, 99, END},

    {6, 24, 18, 6, 40, 1, 60, 14, 60, 36, 40, 62, 4, 98, UP, 4, 98, 36, 97, 68, 98, END},
    {8, 20, 26, 3, 52, 8, 60, 32, 44, 60, 16, 88, 5, 96, 2, 86, 14, 80, 36, 92, 68, 97, END},
    {4, 16, 24, 2, 50, 4, 62, 24, 50, 50, 18, 80, 4, 97, UP, 4, 97, 24, 90, 46, 98, 68, 90, END},

    {8, 12, 30, 1, 56, 10, 58, 32, 28, 46, UP, 28, 46, 56, 54, 66, 76, 44, 97, 18, 97, 2, 84, END},
    {6, 3, 34, 2, 62, 3, UP, 62, 3, 30, 40, UP, 30, 40, 58, 50, 64, 76, 42, 98, 6, 90, END},
    {6, 16, 28, 2, 56, 8, 58, 30, 34, 46, 26, 48, 36, 49, 62, 60, 62, 84, 36, 99, 4, 88, END},

    {16, 2, 10, 34, 6, 60, UP, 6, 60, 36, 60, 70, 56, UP, 52, 14, 50, 60, 46, 100, END},
    {50, 0, 26, 32, 2, 66, UP, 2, 66, 36, 66, 70, 65, UP, 50, 0, 50, 50, 50, 100, END},
    {14, 4, 8, 40, 22, 58, 46, 52, 57, 30, UP, 58, 4, 54, 50, 48, 100, END},

    {60, 2, 36, 3, 14, 3, UP, 14, 3, 10, 24, 8, 44, UP, 8, 44, 34, 36, 60, 50, 62, 78, 38, 98, 4, 90, END},
    {62, 4, 34, 3, 16, 8, 10, 30, 14, 44, UP, 14, 44, 38, 38, 62, 54, 58, 84, 32, 99, 4, 90, END},
    {14, 6, 10, 42, UP, 10, 42, 36, 36, 62, 56, 58, 86, 30, 99, 4, 88, UP, 16, 5, 40, 4, 68, 2, END},

    {54, 4, 28, 20, 8, 52, 8, 82, 32, 99, 58, 88, 62, 66, 44, 52, 20, 60, 8, 78, END},
    {46, 0, 18, 34, 6, 70, 18, 96, 46, 98, 62, 78, 52, 58, 28, 56, 10, 72, END},
    {30, 0, 14, 40, 6, 74, 24, 98, 54, 94, 60, 70, 38, 58, 12, 70, END},

    {4, 4, 36, 3, 66, 4, UP, 66, 4, 46, 46, 28, 100, END},
    {4, 6, 36, 5, 66, 4, UP, 66, 4, 46, 46, 30, 100, UP, 22, 52, 58, 49, END},
    {6, 18, 6, 4, UP, 6, 4, 36, 6, 66, 2, UP, 66, 2, 42, 40, 34, 100, END},

    {58, 14, 34, 1, 12, 14, 18, 36, 46, 56, 62, 78, 40, 98, 10, 86, 12, 64, 42, 44, 60, 24, 54, 8, END},
    {34, 2, 12, 20, 34, 46, 56, 22, 34, 2, UP, 34, 46, 6, 72, 34, 98, 64, 74, 34, 46, END},
    {40, 46, 16, 30, 22, 6, 46, 2, 56, 22, 36, 48, 10, 68, 14, 94, 44, 98, 60, 76, 38, 46, END},

    {58, 20, 36, 2, 10, 16, 10, 40, 34, 50, 56, 34, 60, 14, UP, 60, 14, 58, 56, 52, 100, END},
    {60, 20, 38, 2, 10, 18, 12, 42, 36, 50, 57, 30, 60, 14, UP, 60, 14, 62, 50, 50, 86, 24, 98, 6, 90, END},
    {56, 10, 30, 0, 8, 22, 22, 46, 48, 38, 58, 12, UP, 58, 12, 40, 56, 30, 100, END},
};
enum { HANDS_PER_DIGIT = sizeof HANDS / sizeof *HANDS / 10 };

/* ---- how one sample differs from the next ---- */

typedef struct style {
    float xx, xy, yx, yy, x, y; /* from the box to pixels */
    float bend[GRID][GRID][2];  /* pixels */
    float shake;                /* units of the box, largest movement of a point */
    float radius, pressure;     /* of the pen at the start of a stroke, and its change to the end */
    float ink, blur, noise;
} style;

/* Near 0 more often than near -limit or limit. */
static float around_zero(nacre_random *random, float limit)
{
    return (nacre_random_uniform(random, -limit, limit) + nacre_random_uniform(random, -limit, limit)) / 2;
}

static style draw_style(nacre_random *random)
{
    style s = {0};
    float height = nacre_random_uniform(random, 15.5f, 21.5f);
    float width = height * nacre_random_uniform(random, 0.8f, 1.25f);
    float slant = 0.12f + around_zero(random, 0.45f);
    float t = around_zero(random, 0.13f); /* tangent of half the angle: rotation without sine and cosine */
    float cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
    float a = width / BOX, b = -slant * height / BOX, d = height / BOX; /* stretch and slant: [a b; 0 d] */
    s.xx = cosine * a;
    s.xy = cosine * b - sine * d;
    s.yx = sine * a;
    s.yy = sine * b + cosine * d;
    float x = SIDE / 2.0f + around_zero(random, 2.5f), y = SIDE / 2.0f + around_zero(random, 2.5f);
    s.x = x - s.xx * 35 - s.xy * 50; /* the middle of the box comes to rest at (x, y) */
    s.y = y - s.yx * 35 - s.yy * 50;
    float strength = nacre_random_uniform(random, 0.3f, 1.9f);
    for (int i = 0; i < GRID; i++)
        for (int j = 0; j < GRID; j++)
            for (int k = 0; k < 2; k++) s.bend[i][j][k] = around_zero(random, strength);
    s.shake = nacre_random_uniform(random, 1, 6);
    s.radius = nacre_random_uniform(random, 0.75f, 1.7f);
    s.pressure = around_zero(random, 0.5f);
    s.ink = nacre_random_uniform(random, 0.75f, 1);
    s.blur = nacre_random_uniform(random, 0, 0.3f);
    s.noise = nacre_random_uniform(random, 0, 24);
    return s;
}

/* ---- curves ---- */

typedef struct point {
    float x, y;
} point;

/* The elastic distortion: nodes over the image, eased in between. */
static point bend(const style *s, point p)
{
    float u = p.x / SIDE * (GRID - 1), v = p.y / SIDE * (GRID - 1);
    u = u < 0 ? 0 : u > GRID - 1.001f ? GRID - 1.001f : u;
    v = v < 0 ? 0 : v > GRID - 1.001f ? GRID - 1.001f : v;
    int i = (int)v, j = (int)u;
    u -= (float)j;
    v -= (float)i;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    float moved[2];
    for (int k = 0; k < 2; k++) {
        float above = s->bend[i][j][k] + u * (s->bend[i][j + 1][k] - s->bend[i][j][k]);
        float below = s->bend[i + 1][j][k] + u * (s->bend[i + 1][j + 1][k] - s->bend[i + 1][j][k]);
        moved[k] = above + v * (below - above);
    }
    return (point){p.x + moved[0], p.y + moved[1]};
}

/* A spline through its points (Catmull and Rom 1974), t in [0, 1] from b to c. */
static float spline(float a, float b, float c, float d, float t)
{
    return b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

static point along(const point *points, int count, int span, float t)
{
    point b = points[span], c = points[span + 1];
    point a = span > 0 ? points[span - 1] : (point){2 * b.x - c.x, 2 * b.y - c.y};
    point d = span + 2 < count ? points[span + 2] : (point){2 * c.x - b.x, 2 * c.y - b.y};
    return (point){spline(a.x, b.x, c.x, d.x, t), spline(a.y, b.y, c.y, d.y, t)};
}

/* ---- ink ---- */

/* Covers the pixels near a straight piece of pen stroke; the edge fades over one pixel. */
static void draw_piece(float canvas[SIDE][SIDE], point from, point to, float radius)
{
    float reach = radius + 0.5f, dx = to.x - from.x, dy = to.y - from.y, length2 = dx * dx + dy * dy;
    float inverse = length2 > 0 ? 1 / length2 : 0;
    int left = (int)((from.x < to.x ? from.x : to.x) - reach), right = (int)((from.x > to.x ? from.x : to.x) + reach);
    int top = (int)((from.y < to.y ? from.y : to.y) - reach), bottom = (int)((from.y > to.y ? from.y : to.y) + reach);
    if (left < 0) left = 0;
    if (top < 0) top = 0;
    if (right > SIDE - 1) right = SIDE - 1;
    if (bottom > SIDE - 1) bottom = SIDE - 1;
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            float px = (float)x + 0.5f - from.x, py = (float)y + 0.5f - from.y;
            float t = (px * dx + py * dy) * inverse;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            float ex = px - t * dx, ey = py - t * dy;
            float distance2 = ex * ex + ey * ey;
            if (distance2 >= reach * reach) continue;
            float cover = reach - sqrtf(distance2);
            if (cover > 1) cover = 1;
            if (cover > canvas[y][x]) canvas[y][x] = cover;
        }
}

static void draw_stroke(float canvas[SIDE][SIDE], const style *s, const point *points, int count)
{
    int pieces = (count - 1) * SPAN;
    point from = bend(s, points[0]);
    for (int i = 1; i <= pieces; i++) {
        int span = (i - 1) / SPAN;
        point to = bend(s, along(points, count, span, (float)(i - span * SPAN) / SPAN));
        float radius = s->radius * (1 + s->pressure * ((float)i / (float)pieces - 0.5f));
        draw_piece(canvas, from, to, radius);
        from = to;
    }
}

static void draw_hand(float canvas[SIDE][SIDE], const style *s, const signed char *hand, nacre_random *random)
{
    point points[MAX_POINTS];
    int count = 0;
    for (;; hand += 2) {
        if (*hand < 0) {
            draw_stroke(canvas, s, points, count);
            count = 0;
            if (*hand++ == END) return;
        }
        float x = (float)hand[0] + around_zero(random, s->shake), y = (float)hand[1] + around_zero(random, s->shake);
        points[count++] = (point){s->xx * x + s->xy * y + s->x, s->yx * x + s->yy * y + s->y};
    }
}

/* A little of each neighbour, as lenses and scanners do. */
static float blurred(float canvas[SIDE][SIDE], int y, int x, float amount)
{
    float sum = 0;
    for (int i = -1; i <= 1; i++)
        for (int j = -1; j <= 1; j++) {
            int v = y + i, u = x + j;
            if (v >= 0 && v < SIDE && u >= 0 && u < SIDE) sum += canvas[v][u];
        }
    return canvas[y][x] + amount * (sum / 9 - canvas[y][x]);
}

/* The sum of four bytes is nearly normal; its standard deviation is 148. */
static float grain(nacre_random *random)
{
    uint32_t bits = nacre_random_bits(random);
    int sum = (int)((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
    return (float)(sum - 510) / 148;
}

static void draw_digit(int digit, nacre_random *random, uint8_t *pixels)
{
    float canvas[SIDE][SIDE] = {{0}};
    const signed char *hand = HANDS[digit * HANDS_PER_DIGIT + (int)nacre_random_below(random, HANDS_PER_DIGIT)];
    style s = draw_style(random);
    draw_hand(canvas, &s, hand, random);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            float value = 255 * s.ink * blurred(canvas, y, x, s.blur) + s.noise * grain(random);
            *pixels++ = value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)(value + 0.5f);
        }
}

/* ---- the dataset ---- */

/* A glyph is drawn when it is first asked for and kept: drawing takes longer than a step of a small model. Of very many
 * only the first are. */
enum { MOST_KEPT = 1 << 17, GLYPH_BYTES = SIDE * SIDE };
enum { NOT_DRAWN, BEING_KEPT, KEPT };

typedef struct glyphs {
    nacre_context *context;
    int64_t train, other; /* samples for training; for validation and for test each */
    uint64_t seed;
    int64_t kept_count;
    uint8_t *kept;
    atomic_uchar *state; /* of each that may be kept: several workers may ask for one */
} glyphs;

static nacre_part find_part(const glyphs *self, int64_t index, int64_t *inside)
{
    int part = index < self->train ? NACRE_TRAIN : index < self->train + self->other ? NACRE_VALIDATION : NACRE_TEST;
    *inside = index - (part == NACRE_TRAIN ? 0 : self->train) - (part == NACRE_TEST ? self->other : 0);
    return (nacre_part)part;
}

static bool recall_glyph(const glyphs *self, int64_t index, uint8_t *pixels)
{
    if (index >= self->kept_count || atomic_load_explicit(&self->state[index], memory_order_acquire) != KEPT)
        return false;
    memcpy(pixels, self->kept + index * GLYPH_BYTES, GLYPH_BYTES);
    return true;
}

static void keep_glyph(const glyphs *self, int64_t index, const uint8_t *pixels)
{
    unsigned char expected = NOT_DRAWN;
    if (index >= self->kept_count || !atomic_compare_exchange_strong(&self->state[index], &expected, BEING_KEPT))
        return;
    memcpy(self->kept + index * GLYPH_BYTES, pixels, GLYPH_BYTES);
    atomic_store_explicit(&self->state[index], KEPT, memory_order_release);
}

static nacre_status get_glyph(void *user, int64_t index, nacre_sample *sample)
{
    const glyphs *self = user;
    int64_t inside;
    nacre_part part = find_part(self, index, &inside);
    uint8_t *pixels = nacre_sample_reserve(sample, 0, NACRE_U8, NACRE_SHAPE(1, SIDE, SIDE));
    int64_t *label = nacre_sample_reserve(sample, 1, NACRE_I64, NACRE_SCALAR);
    if (!pixels || !label) return NACRE_ERROR_MEMORY;
    *label = inside % 10;
    if (recall_glyph(self, index, pixels)) return NACRE_OK;
    nacre_random random = nacre_random_create(self->seed, (uint32_t)part, (uint64_t)inside);
    draw_digit((int)*label, &random, pixels);
    keep_glyph(self, index, pixels);
    return NACRE_OK;
}

static void name_origin(void *user, int64_t index, char *text, size_t size)
{
    int64_t inside;
    nacre_part part = find_part(user, index, &inside);
    snprintf(text, size, "glyphs:%s[%lld]", nacre_part_name(part), (long long)inside);
}

static void destroy_glyphs(void *user)
{
    glyphs *self = user;
    nacre_release(self->context, self->kept);
    nacre_release(self->context, self->state);
    nacre_release(self->context, self);
}

nacre_dataset *nacre_glyphs(nacre_context *context, int64_t count, uint64_t seed)
{
    if (count < 0 || count > INT32_MAX) {
        nacre_fail(context, NACRE_ERROR_ARGUMENT, "glyphs: %lld samples asked for; 1 to %d are possible",
                   (long long)count, INT32_MAX);
        return NULL;
    }
    glyphs *self = nacre_allocate(context, sizeof *self);
    if (!self) return NULL;
    *self = (glyphs){.context = context, .train = count ? count : DEFAULT_COUNT, .seed = seed};
    self->other = (self->train + 5) / 6;
    self->kept_count = self->train + 2 * self->other < MOST_KEPT ? self->train + 2 * self->other : MOST_KEPT;
    self->kept = nacre_allocate(context, (size_t)self->kept_count * GLYPH_BYTES);
    self->state = nacre_allocate(context, (size_t)self->kept_count * sizeof *self->state);
    nacre_dataset_source source = {
        .name = "glyphs",
        .user = self,
        .count = self->train + 2 * self->other,
        .fields = {{"image", NACRE_ROLE_IMAGE, NACRE_U8, NACRE_SHAPE(1, SIDE, SIDE)},
                   {"label", NACRE_ROLE_LABEL, NACRE_I64, NACRE_SCALAR}},
        .field_count = 2,
        .class_count = 10,
        .get = get_glyph,
        .origin = name_origin,
        .destroy = destroy_glyphs,
    };
    int64_t *labels = nacre_allocate(context, (size_t)source.count * sizeof *labels);
    uint8_t *parts = nacre_allocate(context, (size_t)source.count);
    nacre_dataset *dataset = NULL;
    if (labels && parts && self->kept && self->state) {
        for (int64_t i = 0, inside; i < source.count; i++) {
            parts[i] = (uint8_t)find_part(self, i, &inside);
            labels[i] = inside % 10;
        }
        source.labels = labels;
        source.parts = parts;
        dataset = nacre_dataset_create(context, &source);
    } else {
        destroy_glyphs(self);
    }
    nacre_release(context, labels);
    nacre_release(context, parts);
    return dataset;
}
