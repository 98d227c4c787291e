/* report_pictures.c - pictures by the exit they took, as the network saw them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

enum { LARGEST_SIDE = 144, TINY_SIDE = 64 };

typedef struct studio {         /* what is needed to turn network input back into pictures */
    const report *r;
    ln_preprocess how;
    uint32_t      channels, height, width, shown_height, shown_width;
    float        *input;
    unsigned char *pixels;      /* [shown_height][shown_width][channels] */
} studio;

/* Network input of a channel to 0..255. */
static double pixel(const studio *s, uint32_t channel, uint32_t y, uint32_t x)
{
    double value = (double)s->input[((size_t)channel * s->height + y) * s->width + x];
    double std = s->how.std[channel] > 0 ? s->how.std[channel] : 1, scale = s->how.scale > 0 ? s->how.scale : 1 / 255.0;

    return (value * std + s->how.mean[channel]) / scale;
}

/* Means over the input pixels that a shown one covers. */
static void develop(studio *s)
{
    for (uint32_t y = 0; y < s->shown_height; y++)
        for (uint32_t x = 0; x < s->shown_width; x++)
            for (uint32_t c = 0; c < s->channels; c++) {
                uint32_t y0 = y * s->height / s->shown_height, y1 = (y + 1) * s->height / s->shown_height;
                uint32_t x0 = x * s->width / s->shown_width, x1 = (x + 1) * s->width / s->shown_width;
                uint32_t from = s->channels == 3 && s->how.order == LN_ORDER_BGR ? 2 - c : c;
                double sum = 0;
                for (uint32_t v = y0; v < y1; v++)
                    for (uint32_t u = x0; u < x1; u++)
                        sum += pixel(s, from, v, u);
                double mean = sum / ((double)(y1 - y0) * (x1 - x0));
                s->pixels[((size_t)y * s->shown_width + x) * s->channels + c] = (unsigned char)(fmin(fmax(mean, 0), 255) + 0.5);
            }
}

static int studio_open(studio *s, const report *r)
{
    ln_model_info info = LN_MODEL_INFO_INIT;

    *s = (studio){ .r = r, .how = LN_PREPROCESS_INIT };
    if (ln_model_get_info(r->model, &info, NULL) < 0 || ln_model_get_preprocess(r->model, &s->how, NULL) < 0)
        return TOOL_FAILED;
    s->channels = info.channels;
    s->height = info.height;
    s->width = info.width;
    uint32_t longest = info.height > info.width ? info.height : info.width;
    double shrink = longest > LARGEST_SIDE ? (double)LARGEST_SIDE / longest : 1;
    s->shown_height = (uint32_t)fmax(1, info.height * shrink);
    s->shown_width = (uint32_t)fmax(1, info.width * shrink);
    s->input = tool_alloc((size_t)info.channels * info.height * info.width, sizeof *s->input);
    s->pixels = tool_alloc((size_t)s->shown_height * s->shown_width, info.channels);
    return TOOL_DONE;
}

/* ---- One picture ----------------------------------------------------------------------------------- */

static ln_status shot(studio *s, size_t row, FILE *to, ln_error *err)
{
    const report *r = s->r;
    size_t at = ln_answers_data_row(r->answers, row);
    int32_t label = ln_answers_label(r->answers, row);
    float probability = 0;
    int32_t given = report_given(r, row, &probability);
    report_name is = label >= 0 ? report_class_name(r, label) : (report_name){ "?" }, said = report_class_name(r, given);
    bool right = label == given;
    ln_status st = ln_data_read(r->data, r->model, at, 1, s->input, NULL, err);

    if (st < 0)
        return st;
    develop(s);
    fprintf(to, "<figure class=\"%s\"><img%s loading=\"lazy\" decoding=\"async\" width=\"%u\" height=\"%u\" alt=\"A picture of ", right ? "right" : "wrong",
            s->shown_width <= TINY_SIDE ? " class=\"tiny\"" : "", s->shown_width, s->shown_height);
    html_text(to, is.text);
    fputs(", called ", to);
    html_text(to, said.text);
    fprintf(to, "\" title=\"");
    html_text(to, ln_data_row_name(r->data, at));
    fputs("\" src=\"", to);
    html_picture(to, s->pixels, s->shown_width, s->shown_height, s->channels);
    fputs("\"><figcaption>", to);
    html_text(to, is.text);
    fprintf(to, "<span class=\"said%s\">", right ? "" : " bad");
    if (right) {
        fprintf(to, "✓ %.0f&nbsp;%%", 100 * (double)probability);
    } else {
        fputs("✗ ", to);
        html_text(to, said.text);
        fprintf(to, ", %.0f&nbsp;%%", 100 * (double)probability);
    }
    fputs("</span></figcaption></figure>\n", to);
    return LN_OK;
}

/* ---- Groups ------------------------------------------------------------------------------------------ */

static bool belongs(const report *r, size_t row, uint32_t exit, bool right)
{
    return r->results[row].exit == exit && report_is_right(r, row) == right &&
           (r->focus < 0 || ln_answers_label(r->answers, row) == r->focus);
}

static size_t count_group(const report *r, uint32_t exit, bool right)
{
    size_t n = 0;

    for (size_t i = 0; i < r->rows; i++)
        n += belongs(r, i, exit, right);
    return n;
}

/* `pictures` of the group, drawn evenly from it. */
static ln_status group(studio *s, uint32_t exit, bool right, size_t count, FILE *to, ln_error *err)
{
    const report *r = s->r;
    size_t shown = count < r->pictures ? count : r->pictures, seen = 0, taken = 0;
    ln_status st = LN_OK;

    if (count == 0)
        return LN_OK;
    fprintf(to, "<h4>%s, %zu%s</h4>\n<div class=\"shots\">\n", right ? "Right" : "Wrong", count, shown < count ? ", some shown" : "");
    for (size_t i = 0; i < r->rows && taken < shown && st >= 0; i++) {
        if (!belongs(r, i, exit, right))
            continue;
        if (seen++ * shown / count < taken && taken > 0)
            continue;
        st = shot(s, i, to, err);
        taken++;
    }
    fputs("</div>\n", to);
    return st;
}

static ln_status exit_pictures(studio *s, uint32_t exit, FILE *to, ln_error *err)
{
    const report *r = s->r;
    size_t right = count_group(r, exit, true), wrong = count_group(r, exit, false);
    ln_status st;

    if (right + wrong == 0)
        return LN_OK;
    fprintf(to, "<div class=\"exit card\"><h3><span><span class=\"swatch\" style=\"background:%s\"></span>%s</span><span class=\"note\">%zu picture%s, after %.0f %% of the multiply-adds",
            report_exit_colour(r, exit).text, report_exit_name(r, exit).text, right + wrong, right + wrong == 1 ? "" : "s", 100 * r->cost_macs[exit]);
    fputs("</span></h3>\n", to);
    st = group(s, exit, true, right, to, err);
    if (st >= 0)
        st = group(s, exit, false, wrong, to, err);
    fputs("</div>\n", to);
    return st;
}

static void focus_facts(const report *r, FILE *to)
{
    uint32_t all = r->of_class[r->focus], right = 0, last = r->left[(size_t)r->exits * r->classes + (size_t)r->focus];

    for (uint32_t e = 0; e <= r->exits; e++)
        right += r->right[(size_t)e * r->classes + (size_t)r->focus];
    if (all)
        fprintf(to, "%u pictures of this class: %.0f %% leave early, %.1f %% are answered right, by the plain network %.1f %%. ", all,
                100.0 * (all - last) / all, 100.0 * right / all, 100.0 * r->plain_right[r->focus] / all);
}

int report_pictures(const report *r, FILE *to)
{
    studio s;
    ln_error err = { 0 };
    ln_status st = LN_OK;
    int code = studio_open(&s, r);

    fputs("<section id=\"pictures\">\n<h2>", to);
    if (r->focus >= 0)
        html_text(to, report_class_name(r, r->focus).text);
    else
        fputs("Pictures", to);
    fputs(", exit by exit</h2>\n<p class=\"lead\">", to);
    if (r->focus >= 0)
        focus_facts(r, to);
    fputs("Easy ones leave early, hard ones late. The name below a picture is the true one; ✓ and ✗ say with which "
          "confidence it was answered, and what instead. Pictures are drawn evenly from all that left there, not picked.</p>\n", to);
    if (s.channels != 1 && s.channels != 3)
        fprintf(to, "<p class=\"nothing\">Inputs of %u channels cannot be shown.</p>\n", s.channels);
    for (uint32_t e = 0; e <= r->exits && st >= 0 && (s.channels == 1 || s.channels == 3); e++)
        st = exit_pictures(&s, e, to, &err);
    report_empty_exits(r, r->focus, to);
    fputs("</section>\n", to);
    free(s.input);
    free(s.pixels);
    return code != TOOL_DONE ? code : st < 0 ? report_error("report", st, &err) : TOOL_DONE;
}
