/* report_count.c - from recorded answers to the figures of the page. */
#include <math.h>
#include <stdlib.h>

#include "report.h"

bool report_leaves_early(const report *r)
{
    return r->targeted || r->point >= 0;
}

int32_t report_given(const report *r, size_t row, float *probability)
{
    return given_answer(r->answers, r->model, r->policy, &r->results[row], row, probability);
}

bool report_is_right(const report *r, size_t row)
{
    return report_given(r, row, NULL) == ln_answers_label(r->answers, row);
}

static void count_classes(report *r)
{
    for (size_t i = 0; i < r->rows; i++) {
        int32_t label = ln_answers_label(r->answers, i);
        if (label < 0 || (uint32_t)label >= r->classes)
            continue;
        size_t k = (size_t)r->results[i].exit * r->classes + (size_t)label;
        r->of_class[label]++;
        r->left[k]++;
        r->right[k] += report_is_right(r, i);
        r->plain_right[label] += ln_answers_choice(r->answers, r->exits, i, NULL) == label;
    }
}

static double bins_error(const report_bin *bins)
{
    double error = 0, rows = 0;

    for (size_t b = 0; b < REPORT_BINS; b++) {
        error += fabs((double)bins[b].right - bins[b].confidence);
        rows += (double)bins[b].rows;
    }
    return rows > 0 ? error / rows : NAN;
}

static void add_to_bin(report_bin *bins, float probability, bool right)
{
    int b = (int)(probability * REPORT_BINS);

    b = b < 0 ? 0 : b >= REPORT_BINS ? REPORT_BINS - 1 : b;
    bins[b].rows++;
    bins[b].right += right;
    bins[b].confidence += (double)probability;
}

static void calibrate(report *r, uint32_t exit)
{
    report_calibration *c = &r->calibration[exit];
    report_bin left[REPORT_BINS] = { { 0 } };
    uint64_t right = 0;

    for (size_t i = 0; i < r->rows; i++) {
        float p = 0;
        bool is = ln_answers_choice(r->answers, exit, i, &p) == ln_answers_label(r->answers, i);
        add_to_bin(c->bin, p, is);
        if (r->results[i].exit == exit)
            add_to_bin(left, p, is);
        right += is;
        c->confidence += (double)p;
    }
    c->error = bins_error(c->bin);
    c->error_left = bins_error(left);
    c->accuracy = (double)right / (double)r->rows;
    c->confidence /= (double)r->rows;
    for (size_t b = 0; b < REPORT_BINS; b++)
        c->bin[b].confidence = c->bin[b].rows ? c->bin[b].confidence / (double)c->bin[b].rows : 0;
}

void report_count(report *r)
{
    size_t cells = ((size_t)r->exits + 1) * r->classes;

    r->left = tool_alloc(cells, sizeof *r->left);
    r->right = tool_alloc(cells, sizeof *r->right);
    r->of_class = tool_alloc(r->classes, sizeof *r->of_class);
    r->plain_right = tool_alloc(r->classes, sizeof *r->plain_right);
    r->calibration = tool_alloc(r->exits + 1, sizeof *r->calibration);
    count_classes(r);
    for (uint32_t e = 0; e <= r->exits; e++)
        calibrate(r, e);
}
