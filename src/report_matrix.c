/* report_matrix.c - classes: where each leaves, and what it is taken for. */
#include <stdlib.h>
#include <string.h>

#include "report.h"

enum { MOST_ROWS = 200, MOST_CELLS = 120, MOST_NAMES = 24, MOST_MISSTEPS = 5 };

/* ---- Share and accuracy per exit and class ------------------------------------------------------- */

typedef struct ranked { uint32_t label; double cost; } ranked;

static int by_cost(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->cost != y->cost ? (x->cost > y->cost) - (x->cost < y->cost) : (x->label > y->label) - (x->label < y->label);
}

static size_t rank_classes(const report *r, ranked *order)
{
    size_t n = 0;

    for (uint32_t c = 0; c < r->classes; c++) {
        double cost = 0;
        if (r->of_class[c] == 0)
            continue;
        for (uint32_t e = 0; e <= r->exits; e++)
            cost += r->left[(size_t)e * r->classes + c] * r->cost_macs[e];
        order[n++] = (ranked){ c, cost / r->of_class[c] };
    }
    qsort(order, n, sizeof *order, by_cost);
    return n;
}

static void class_cell(const report *r, uint32_t label, uint32_t exit, FILE *to)
{
    uint32_t left = r->left[(size_t)exit * r->classes + label], right = r->right[(size_t)exit * r->classes + label];
    double share = (double)left / r->of_class[label];
    unsigned strength = (unsigned)(12 + 88 * share + 0.5);

    if (left == 0) {
        fputs("<td class=\"heat none\"><span>–</span></td>", to);
        return;
    }
    fprintf(to, "<td class=\"heat\"><span class=\"%s\" style=\"background:%s%02x\">%.0f %%<small>✓ %.0f</small></span></td>",
            strength > 55 ? "dark" : "", report_exit_colour(r, exit).text, strength * 255 / 100, 100 * share, 100.0 * right / left);
}

static void class_row(const report *r, const ranked *of, FILE *to)
{
    uint32_t right = 0;

    for (uint32_t e = 0; e <= r->exits; e++)
        right += r->right[(size_t)e * r->classes + of->label];
    fputs("<tr><th scope=\"row\">", to);
    html_text(to, report_class_name(r, (int32_t)of->label).text);
    fprintf(to, "</th><td>%u</td><td>%.1f %%</td><td>%.1f %%</td><td>%.0f %%</td>", r->of_class[of->label],
            100.0 * right / r->of_class[of->label], 100.0 * r->plain_right[of->label] / r->of_class[of->label], 100 * of->cost);
    for (uint32_t e = 0; e <= r->exits; e++)
        class_cell(r, of->label, e, to);
    fputs("</tr>\n", to);
}

void report_classes(const report *r, FILE *to)
{
    ranked *order = tool_alloc(r->classes, sizeof *order);
    size_t n = rank_classes(r, order);

    fputs("<section id=\"classes\">\n<h2>Class by class</h2>\n<p class=\"lead\">Easy classes on top: they leave early and cost little. Each cell says which "
          "share of the class leaves at that exit, and below it how many per cent of those are right.", to);
    if (n > MOST_ROWS)
        fprintf(to, " The %d easiest and the %d hardest of %zu classes are shown.", MOST_ROWS / 2, MOST_ROWS / 2, n);
    fputs("</p>\n<div class=\"card wide\" tabindex=\"0\" role=\"region\" aria-label=\"Classes\"><table><caption>Share and accuracy per exit and class, by rising "
          "cost</caption><thead><tr><th scope=\"col\">Class</th><th scope=\"col\">Pictures</th><th scope=\"col\">Right</th><th scope=\"col\">Plain</th>"
          "<th scope=\"col\">Mult.-adds</th>", to);
    for (uint32_t e = 0; e <= r->exits; e++)
        fprintf(to, "<th scope=\"col\">%s</th>", report_exit_name(r, e).text);
    fputs("</tr></thead><tbody>\n", to);
    for (size_t i = 0; i < n; i++)
        if (n <= MOST_ROWS || i < MOST_ROWS / 2 || i >= n - MOST_ROWS / 2)
            class_row(r, &order[i], to);
    fputs("</tbody></table></div>\n</section>\n", to);
    free(order);
}

/* ---- Confusion ------------------------------------------------------------------------------------- */

typedef struct misstep { uint32_t label, given, count; } misstep;

static uint32_t *count_answers(const report *r, uint32_t exit)
{
    uint32_t *counts = tool_alloc((size_t)r->classes * r->classes, sizeof *counts);

    for (size_t i = 0; i < r->rows; i++) {
        int32_t label = ln_answers_label(r->answers, i), given = report_given(r, i, NULL);
        if (r->results[i].exit == exit && label >= 0 && given >= 0)
            counts[(size_t)label * r->classes + (size_t)given]++;
    }
    return counts;
}

/* The most frequent mistakes, at most MOST_MISSTEPS. */
static size_t find_missteps(const report *r, const uint32_t *counts, misstep *out)
{
    size_t n = 0;

    for (uint32_t a = 0; a < r->classes; a++)
        for (uint32_t b = 0; b < r->classes; b++) {
            misstep m = { a, b, counts[(size_t)a * r->classes + b] };
            if (a == b || m.count == 0 || (n == MOST_MISSTEPS && m.count <= out[n - 1].count))
                continue;
            size_t at = n < MOST_MISSTEPS ? n++ : n - 1;
            for (; at > 0 && out[at - 1].count < m.count; at--)
                out[at] = out[at - 1];
            out[at] = m;
        }
    return n;
}

static void short_name(const report *r, uint32_t label, FILE *to)
{
    report_name name = report_class_name(r, (int32_t)label);
    size_t shown = 0, at = 0;

    while (name.text[at] && shown < 14) {
        size_t n = utf8_length((const unsigned char *)name.text + at);
        at += n ? n : 1;
        shown++;
    }
    bool cut = name.text[at] != '\0';
    name.text[at] = '\0';
    html_text(to, name.text);
    fputs(cut ? "…" : "", to);
}

static void matrix_names(const report *r, double left, double top, double cell, FILE *to)
{
    for (uint32_t c = 0; c < r->classes; c++) {
        fprintf(to, "<text class=\"small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", left - 5, top + cell * (c + 0.5) + 3.5);
        short_name(r, c, to);
        fprintf(to, "</text><text class=\"small\" transform=\"translate(%.1f %.1f)rotate(-55)\">", left + cell * (c + 0.6), top - 5);
        short_name(r, c, to);
        fputs("</text>\n", to);
    }
}

static void matrix(const report *r, uint32_t exit, const uint32_t *counts, FILE *to)
{
    bool names = r->classes <= MOST_NAMES;
    double left = names ? 84 : 4, top = names ? 70 : 4, side = names ? 196 : 316, cell = side / r->classes;

    fprintf(to, "<svg viewBox=\"0 0 324 %.0f\" role=\"img\" aria-label=\"Confusion at %s: rows are true classes, columns given ones\">\n"
            "<rect class=\"back\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"3\"/>\n", top + side + 4, report_exit_name(r, exit).text, left, top, side, side);
    if (names)
        matrix_names(r, left, top, cell, to);
    for (uint32_t a = 0; a < r->classes; a++) {
        uint32_t all = 0;
        for (uint32_t b = 0; b < r->classes; b++)
            all += counts[(size_t)a * r->classes + b];
        for (uint32_t b = 0; b < r->classes; b++) {
            uint32_t n = counts[(size_t)a * r->classes + b];
            if (n == 0)
                continue;
            double share = (double)n / all, gap = r->classes <= 40 ? 0.75 : 0;
            fprintf(to, "<rect fill=\"%s\" opacity=\"%.2f\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"", a == b ? report_exit_colour(r, exit).text : "var(--bad)",
                    0.25 + 0.75 * share, left + cell * b + gap, top + cell * a + gap, cell - 2 * gap, cell - 2 * gap);
            if (!names) {
                fputs("/>", to);
                continue;
            }
            fputs("><title>", to);
            html_text(to, report_class_name(r, (int32_t)a).text);
            fputs(" called ", to);
            html_text(to, report_class_name(r, (int32_t)b).text);
            fprintf(to, ": %u</title></rect>", n);
            if (r->classes <= 12)
                fprintf(to, "<text class=\"small\" style=\"fill:%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" pointer-events=\"none\">%u</text>",
                        share > 0.5 ? "#fff" : "var(--ink)", left + cell * (b + 0.5), top + cell * (a + 0.5) + 3.5, n);
        }
    }
    fputs("</svg>\n", to);
}

static void missteps(const report *r, const uint32_t *counts, FILE *to)
{
    misstep most[MOST_MISSTEPS];
    size_t n = find_missteps(r, counts, most);

    if (n == 0) {
        fputs("<p class=\"nothing\">No mistakes here.</p>", to);
        return;
    }
    fputs("<ul class=\"missteps\" aria-label=\"Most frequent mistakes\">", to);
    for (size_t i = 0; i < n; i++) {
        fputs("<li><span>", to);
        html_text(to, report_class_name(r, (int32_t)most[i].label).text);
        fputs(" called <b>", to);
        html_text(to, report_class_name(r, (int32_t)most[i].given).text);
        fprintf(to, "</b></span><span>%u</span></li>", most[i].count);
    }
    fputs("</ul>", to);
}

void report_empty_exits(const report *r, int32_t label, FILE *to)
{
    uint32_t n = 0;

    for (uint32_t e = 0; e <= r->exits; e++) {
        uint64_t left = label < 0 ? r->shares[e].rows : r->left[(size_t)e * r->classes + (size_t)label];
        if (left == 0)
            fprintf(to, "%s%s", n++ ? ", " : "<p class=\"nothing\">Nothing leaves at: ", report_exit_name(r, e).text);
    }
    if (n)
        fputs(".</p>\n", to);
}

void report_confusion(const report *r, FILE *to)
{
    fputs("<section id=\"confusion\">\n<h2>Confusion at each exit</h2>\n<p class=\"lead\">Of the pictures that left there: true classes from top to bottom, given "
          "ones from left to right. Mistakes are red. The most frequent ones stand below.</p>\n<div class=\"many matrices\">\n", to);
    for (uint32_t e = 0; e <= r->exits; e++) {
        const ln_exit_share *s = &r->shares[e];
        if (s->rows == 0)
            continue;
        fprintf(to, "<figure class=\"card\"><figcaption><b><span class=\"swatch\" style=\"background:%s\"></span>%s</b> &ensp;%llu picture%s</figcaption>\n",
                report_exit_colour(r, e).text, report_exit_name(r, e).text, (unsigned long long)s->rows, s->rows == 1 ? "" : "s");
        uint32_t *counts = count_answers(r, e);
        if (r->classes <= MOST_CELLS)
            matrix(r, e, counts, to);
        missteps(r, counts, to);
        free(counts);
        fputs("</figure>\n", to);
    }
    fputs("</div>\n", to);
    report_empty_exits(r, -1, to);
    fputs("</section>\n", to);
}
