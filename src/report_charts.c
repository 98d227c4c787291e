/* report_charts.c - trade-off curves and reliability diagrams, as SVG. */
#include <math.h>

#include "report.h"

/* ---- A plane with two axes ------------------------------------------------------------------ */

typedef struct plane {
    double left, top, width, height;        /* of the plotting area */
    double x0, x1, y0, y1;
} plane;

static double at_x(const plane *p, double x) { return p->left + p->width * (x - p->x0) / (p->x1 - p->x0); }
static double at_y(const plane *p, double y) { return p->top + p->height * (1 - (y - p->y0) / (p->y1 - p->y0)); }

static double nice_step(double range, double wanted)
{
    double raw = range / wanted, power = pow(10, floor(log10(raw))), part = raw / power;

    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static void axes(const plane *p, const char *x_title, const char *y_title, FILE *to)
{
    double step = nice_step(p->y1 - p->y0, 5);
    double bottom = p->top + p->height;

    for (double y = ceil(p->y0 / step - 1e-9) * step; y <= p->y1 + 1e-9; y += step)
        fprintf(to, "<path class=\"grid\" d=\"M%.1f %.1fh%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
                p->left, at_y(p, y), p->width, p->left - 8, at_y(p, y) + 4, fabs(100 * y));
    step = 0.2;
    for (double x = ceil(p->x0 / step - 1e-9) * step; x <= p->x1 + 1e-9; x += step)
        fprintf(to, "<path class=\"grid\" d=\"M%.1f %.1fv%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.4g</text>\n",
                at_x(p, x), p->top, p->height, at_x(p, x), bottom + 19, fabs(100 * x));
    fprintf(to, "<path class=\"axis\" d=\"M%.1f %.1fh%.1f\"/>\n", p->left, bottom, p->width);
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text><text x=\"%.1f\" y=\"%.1f\">%s</text>\n",
            p->left + p->width / 2, bottom + 38, x_title, p->left - 34, p->top - 12, y_title);
}

/* ---- Accuracy against cost -------------------------------------------------------------------- */

static const char *curve_colour(size_t i)
{
    static const char *const colours[REPORT_MOST_CURVES] = { "#3f6fd1", "#d1783f", "#2a9a7c", "#b8559b", "#8a7a2c", "#5d6b7d",
                                                             "#c14d4d", "#4d9dc1", "#7d5dc1", "#6d9a2a", "#a0714f", "#4f8aa0" };
    return colours[i % REPORT_MOST_CURVES];
}

static plane tradeoff_plane(const report *r, bool by_time)
{
    plane p = { 46, 30, 360, 236, 0, 1, 1, 0 };
    double top = r->at.plain_accuracy;

    for (uint32_t e = 0; e <= r->exits; e++) {
        p.x1 = fmax(p.x1, by_time ? r->cost_time[e] : r->cost_macs[e]);
        p.y0 = fmin(p.y0, r->calibration[e].accuracy);
        top = fmax(top, r->calibration[e].accuracy);
    }
    for (size_t i = 0; i < r->n_curves; i++)
        for (size_t k = 0; k < r->curve[i].count; k++) {
            p.y0 = fmin(p.y0, r->curve[i].place[k].accuracy);
            top = fmax(top, r->curve[i].place[k].accuracy);
        }
    double step = nice_step(fmax(top - p.y0, 0.02), 5);
    p.y0 = fmax(0, floor(p.y0 / step - 1e-9) * step);
    p.y1 = fmin(1, ceil(top / step + 1e-9) * step);
    if (p.y1 <= p.y0)
        p.y0 = p.y1 - 0.1;
    return p;
}

static double cost_of(const report_place *at, bool by_time)
{
    return by_time ? at->time : at->macs;
}

static void draw_curve(const report *r, size_t i, const plane *p, bool by_time, FILE *to)
{
    const report_curve *c = &r->curve[i];

    fprintf(to, "<path class=\"line\" stroke=\"%s\" d=\"", curve_colour(i));
    for (size_t k = 0; k < c->count; k++)
        fprintf(to, "%c%.1f %.1f", k ? 'L' : 'M', at_x(p, cost_of(&c->place[k], by_time)), at_y(p, c->place[k].accuracy));
    fputs("\"/>\n", to);
    for (size_t k = 0; k < c->count && c->count <= 24; k++) {
        const report_place *at = &c->place[k];
        double x = cost_of(at, by_time);
        fprintf(to, "<circle class=\"halo\" fill=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>%s %zu: %.2f %% at %.1f %%</title></circle>\n",
                curve_colour(i), at_x(p, x), at_y(p, at->accuracy), c->name, at->number, 100 * at->accuracy, 100 * x);
    }
}

static void draw_tradeoff(const report *r, bool by_time, FILE *to)
{
    plane p = tradeoff_plane(r, by_time);
    const double *cost = by_time ? r->cost_time : r->cost_macs;

    fprintf(to, "<figure class=\"card\"><svg viewBox=\"0 0 420 312\" role=\"img\" aria-label=\"Accuracy against %s\">\n",
            by_time ? "time" : "multiply-adds");
    axes(&p, by_time ? "time, % of the plain network" : "multiply-adds, % of the plain network", "accuracy, %", to);
    fprintf(to, "<path class=\"diagonal\" d=\"M%.1f %.1fh%.1f\"/>\n", p.left, at_y(&p, r->at.plain_accuracy), p.width);
    for (uint32_t e = 0; e < r->exits; e++)
        fprintf(to, "<circle class=\"hollow\" stroke=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>all at exit %u: %.2f %% at %.1f %%</title></circle>\n",
                report_exit_colour(r, e).text, at_x(&p, cost[e]), at_y(&p, r->calibration[e].accuracy), e,
                100 * r->calibration[e].accuracy, 100 * cost[e]);
    for (size_t i = r->n_curves; i-- > 0;)
        draw_curve(r, i, &p, by_time, to);
    fprintf(to, "<rect class=\"halo\" fill=\"var(--ink)\" x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"9\"><title>plain network: %.2f %%</title></rect>\n",
            at_x(&p, 1) - 4.5, at_y(&p, r->at.plain_accuracy) - 4.5, 100 * r->at.plain_accuracy);
    if (report_leaves_early(r)) {
        double x = at_x(&p, by_time ? r->at.time_share : r->at.macs_share), y = at_y(&p, r->at.accuracy);
        fprintf(to, "<circle fill=\"none\" stroke=\"var(--ink)\" stroke-width=\"2\" cx=\"%.1f\" cy=\"%.1f\" r=\"8\"/>\n", x, y);
    }
    fputs("</svg></figure>\n", to);
}

static void tradeoff_table(const report *r, FILE *to)
{
    fputs("<details><summary>The figures</summary><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Settings\"><table>"
          "<caption>Every setting, judged on these pictures</caption><thead><tr><th scope=\"col\">Rule</th><th scope=\"col\">Setting</th>"
          "<th scope=\"col\">Accuracy</th><th scope=\"col\">Time</th><th scope=\"col\">Multiply-adds</th></tr></thead><tbody>\n", to);
    for (size_t i = 0; i < r->n_curves; i++)
        for (size_t k = 0; k < r->curve[i].count; k++) {
            const report_place *at = &r->curve[i].place[k];
            fprintf(to, "<tr><th scope=\"row\">%s</th><td>%zu</td><td>%.2f %%</td><td>%.1f %%</td><td>%.1f %%</td></tr>\n", r->curve[i].name,
                    at->number, 100 * at->accuracy, 100 * at->time, 100 * at->macs);
        }
    fputs("</tbody></table></div></details>\n", to);
}

void report_tradeoff(const report *r, FILE *to)
{
    fputs("<section id=\"tradeoff\">\n<h2>Accuracy against cost</h2>\n<p class=\"lead\">Up and to the left is better. The dashed line is the "
          "plain network’s accuracy; hollow dots are what each exit would reach if every picture left there.</p>\n<div class=\"pair\">\n", to);
    draw_tradeoff(r, true, to);
    draw_tradeoff(r, false, to);
    fputs("</div>\n<ul class=\"legend\">", to);
    for (size_t i = 0; i < r->n_curves; i++)
        fprintf(to, "<li><span class=\"swatch\" style=\"background:%s\"></span>%s</li>", curve_colour(i), r->curve[i].name);
    if (report_leaves_early(r))
        fputs("<li><span class=\"swatch\" style=\"border:2px solid var(--ink);border-radius:50%\"></span>the one this page shows</li>", to);
    fputs("<li><span class=\"swatch\" style=\"background:var(--ink)\"></span>plain network</li></ul>\n", to);
    if (r->n_curves)
        tradeoff_table(r, to);
    fputs("</section>\n", to);
}

/* ---- Calibration --------------------------------------------------------------------------------- */

static void draw_bins(const report *r, const report_calibration *c, const plane *plot, const char *colour, FILE *to)
{
    const plane p = *plot;

    for (int b = 0; b < REPORT_BINS; b++) {
        double share = (double)c->bin[b].rows / (double)r->rows;
        fprintf(to, "<rect fill=\"%s\" opacity=\".18\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n", colour,
                at_x(&p, b / 10.0) + 1, at_y(&p, share), p.width / REPORT_BINS - 2, p.height * share);
    }
    fprintf(to, "<path class=\"diagonal\" d=\"M%.1f %.1fL%.1f %.1f\"/><path class=\"line\" stroke=\"%s\" d=\"", at_x(&p, 0), at_y(&p, 0), at_x(&p, 1),
            at_y(&p, 1), colour);
    char move = 'M';
    for (int b = 0; b < REPORT_BINS; b++)
        if (c->bin[b].rows) {
            fprintf(to, "%c%.1f %.1f", move, at_x(&p, c->bin[b].confidence), at_y(&p, (double)c->bin[b].right / (double)c->bin[b].rows));
            move = 'L';
        }
    fputs("\"/>\n", to);
    for (int b = 0; b < REPORT_BINS; b++)
        if (c->bin[b].rows) {
            double right = (double)c->bin[b].right / (double)c->bin[b].rows;
            fprintf(to, "<circle class=\"halo\" fill=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"><title>said %.0f %%, right %.0f %%, %llu pictures</title></circle>\n",
                    colour, at_x(&p, c->bin[b].confidence), at_y(&p, right), 2.5 + 5 * sqrt((double)c->bin[b].rows / (double)r->rows),
                    100 * c->bin[b].confidence, 100 * right, (unsigned long long)c->bin[b].rows);
        }
}

static void reliability(const report *r, uint32_t exit, FILE *to)
{
    const report_calibration *c = &r->calibration[exit];
    plane p = { 34, 22, 178, 178, 0, 1, 0, 1 };
    report_colour shade = report_exit_colour(r, exit);
    const char *colour = shade.text;
    double gap = c->confidence - c->accuracy;

    fprintf(to, "<figure class=\"card\"><figcaption><b><span class=\"swatch\" style=\"background:%s\"></span>%s</b> &ensp;%s<br>error %.1f %%",
            colour, report_exit_name(r, exit).text, fabs(gap) < 0.005 ? "about right" : gap > 0 ? "too sure" : "too shy", 100 * c->error);
    if (isfinite(c->error_left))
        fprintf(to, ", %.1f %% of those that left", 100 * c->error_left);
    fputs("</figcaption>\n", to);
    fprintf(to, "<svg viewBox=\"0 0 224 242\" role=\"img\" aria-label=\"Reliability of %s: expected calibration error %.1f per cent\">\n",
            report_exit_name(r, exit).text, 100 * c->error);
    for (int k = 0; k <= 4; k++)
        fprintf(to, "<path class=\"grid\" d=\"M%.1f %.1fh%.1fM%.1f %.1fv%.1f\"/><text class=\"small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%d</text>"
                "<text class=\"small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%d</text>\n", p.left, at_y(&p, k / 4.0), p.width,
                at_x(&p, k / 4.0), p.top, p.height, p.left - 6, at_y(&p, k / 4.0) + 3.5, 25 * k, at_x(&p, k / 4.0), p.top + p.height + 14, 25 * k);
    draw_bins(r, c, &p, colour, to);
    fputs("<text class=\"small\" x=\"0\" y=\"10\">right, %</text><text class=\"small\" x=\"123\" y=\"234\" text-anchor=\"middle\">confidence, %</text>\n</svg>", to);
    fputs("</figure>\n", to);
}

void report_reliability(const report *r, FILE *to)
{
    fputs("<section id=\"calibration\">\n<h2>Can the confidence be believed?</h2>\n<p class=\"lead\">Each exit answers all pictures. On the dashed line, "
          "an answer given with 80 % confidence is right 80 % of the time; below it the exit is too sure. The error is the expected calibration error "
          "over ten bins; bars and the size of the dots show how many pictures lie in each.</p>\n<div class=\"many\">\n", to);
    for (uint32_t e = 0; e <= r->exits; e++)
        reliability(r, e, to);
    fputs("</div>\n</section>\n", to);
}
