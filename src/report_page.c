/* report_page.c - the page from top to bottom. */
#include <math.h>
#include <string.h>

#include "report.h"

report_colour report_exit_colour(const report *r, uint32_t exit)
{
    static const unsigned char anchor[4][3] = { { 20, 138, 124 }, { 47, 108, 178 }, { 112, 78, 170 }, { 168, 52, 112 } };
    double at = r->exits ? 3.0 * exit / r->exits : 0.0;
    size_t i = at >= 3 ? 2 : (size_t)at;
    report_colour colour;
    unsigned v[3];

    for (size_t k = 0; k < 3; k++)
        v[k] = (unsigned)(anchor[i][k] + (at - (double)i) * (anchor[i + 1][k] - anchor[i][k]) + 0.5);
    snprintf(colour.text, sizeof colour.text, "#%02x%02x%02x", v[0] & 255, v[1] & 255, v[2] & 255);
    return colour;
}

report_name report_class_name(const report *r, int32_t label)
{
    const char *text = ln_model_class_name(r->model, label);
    report_name name;

    if (text[0])
        snprintf(name.text, sizeof name.text, "%s", text);
    else
        snprintf(name.text, sizeof name.text, "%d", (int)label);
    return name;
}

report_name report_exit_name(const report *r, uint32_t exit)
{
    report_name name;

    if (exit < r->exits)
        snprintf(name.text, sizeof name.text, "Exit %u", exit);
    else
        snprintf(name.text, sizeof name.text, "End");
    return name;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* ---- Head ------------------------------------------------------------------------------- */

static void page_head(const report *r, FILE *to)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';img-src data:;style-src 'unsafe-inline'\">\n"
          "<meta name=\"generator\" content=\"leenet ", to);
    html_text(to, ln_lib_version());
    fputs("\">\n<title>", to);
    html_text(to, base_name(r->model_path));
    fputs(" – what leaves where</title>\n<style>\n", to);
    fputs(report_style, to);
    fputs("</style>\n</head>\n<body>\n", to);
}

static void page_header(const report *r, FILE *to)
{
    ln_point_info info = LN_POINT_INFO_INIT;

    fputs("<header>\n<p class=\"eyebrow\">What leaves where</p>\n<h1>", to);
    html_text(to, base_name(r->model_path));
    fputs("</h1>\n<p class=\"about\">", to);
    fprintf(to, "%zu pictures of ", r->rows);
    html_text(to, r->data_spec);
    fprintf(to, ", %u classes. ", r->classes);
    if (r->targeted) {
        fprintf(to, "Exits are taken as setting %u of policy %s says (", r->setting.index, ln_policy_name(r->setting.policy));
        target_print(to, &r->target);
        fputs(r->setting.index == 0 ? "): no picture leaves early." : ").", to);
    } else if (r->point >= 0 && ln_point_get_info(r->model, (uint32_t)r->point, &info, NULL) >= 0) {
        fprintf(to, "Exits are taken as operating point %lld says (%s, alpha %.4g%s; points count from 0 to %u).", (long long)r->point,
                ln_policy_name(info.policy), info.alpha, info.moved ? ", thresholds moved" : "", ln_model_point_count(r->model) - 1);
    } else {
        fputs("The model has no operating point: every picture runs to the end.", to);
    }
    fputs("</p>\n<nav aria-label=\"Sections\"><a href=\"#tradeoff\">Accuracy and cost</a><a href=\"#exits\">Exits</a>"
          "<a href=\"#pictures\">Pictures</a><a href=\"#classes\">Classes</a><a href=\"#confusion\">Confusion</a>"
          "<a href=\"#calibration\">Calibration</a></nav>\n</header>\n<main>\n", to);
}

static void tile(FILE *to, const char *name, double value, const char *unit, const char *note)
{
    fprintf(to, "<div><dt>%s</dt><dd class=\"big\">%.1f<small> %s</small></dd><dd class=\"note\">%s</dd></div>\n", name, value, unit, note);
}

static void page_tiles(const report *r, FILE *to)
{
    const ln_evaluation *e = &r->at;
    double loss = 100 * (e->plain_accuracy - e->accuracy), early = 1.0 - r->shares[r->exits].share;
    char note[96];
    wilson_interval ci = wilson(e->accuracy, e->rows);

    fputs("<dl class=\"tiles\">\n", to);
    snprintf(note, sizeof note, "95 %% interval %.1f–%.1f", 100 * ci.low, 100 * ci.high);
    tile(to, "Accuracy", 100 * e->accuracy, "%", note);
    snprintf(note, sizeof note, fabs(loss) < 0.05 ? "the same as here" : loss > 0 ? "%.1f points more than here" : "%.1f points less than here",
             fabs(loss));
    tile(to, "Plain network", 100 * e->plain_accuracy, "%", note);
    tile(to, "Time", 100 * e->time_share, "%", "of the plain network’s, one picture, one thread");
    tile(to, "Multiply-adds", 100 * e->macs_share, "%", "of the plain network’s");
    snprintf(note, sizeof note, "of %llu pictures", (unsigned long long)e->rows);
    tile(to, "Leave early", 100 * early, "%", note);
    fputs("</dl>\n", to);
}

/* ---- Exits ------------------------------------------------------------------------------- */

static void page_bar(const report *r, FILE *to)
{
    fputs("<div class=\"bar\" role=\"img\" aria-label=\"Share of pictures by exit\">", to);
    for (uint32_t e = 0; e <= r->exits; e++) {
        double share = r->shares[e].share;
        if (r->shares[e].rows == 0)
            continue;
        fprintf(to, "<span style=\"flex:%.5f 1 0;background:%s\" title=\"%s: %.1f %%\">", share, report_exit_colour(r, e).text,
                report_exit_name(r, e).text, 100 * share);
        if (share >= 0.045)
            fputs(share >= 0.12 || e == r->exits ? report_exit_name(r, e).text : report_exit_name(r, e).text + 5, to);
        fputs("</span>", to);
    }
    fputs("</div>\n", to);
}

static void page_exit_row(const report *r, uint32_t e, FILE *to)
{
    const ln_exit_share *s = &r->shares[e];

    fprintf(to, "<tr><th scope=\"row\"><span class=\"swatch\" style=\"background:%s\"></span>%s <span class=\"value\">", report_exit_colour(r, e).text,
            report_exit_name(r, e).text);
    html_text(to, e < r->exits ? exit_name(r->model, e) : "the network's own answer");
    fprintf(to, "</span></th><td>%.0f %%</td><td>%.0f %%</td><td>%llu</td><td>%.1f %%</td>", 100 * r->cost_time[e], 100 * r->cost_macs[e],
            (unsigned long long)s->rows, 100 * s->share);
    if (s->rows)
        fprintf(to, "<td>%.1f %%</td>", 100 * s->accuracy);
    else
        fputs("<td class=\"none\">–</td>", to);
    fprintf(to, "<td>%.1f %%</td></tr>\n", 100 * r->calibration[e].accuracy);
}

static void page_exits(const report *r, FILE *to)
{
    fputs("<section id=\"exits\">\n<h2>Where pictures leave</h2>\n<p class=\"lead\">From the first exit to the network’s end. "
          "Time and multiply-adds are what leaving there costs, of the plain network, heads and gates on the way included.</p>\n"
          "<div class=\"card\">\n", to);
    page_bar(r, to);
    fputs("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Exits\"><table><caption>Every exit: cost, pictures that leave there, and how "
          "often it is right</caption><thead><tr><th scope=\"col\">Exit</th><th scope=\"col\">Time</th><th scope=\"col\">Multiply-adds</th>"
          "<th scope=\"col\">Pictures</th><th scope=\"col\">Share</th><th scope=\"col\">Right, of those</th>"
          "<th scope=\"col\">Right, if all left here</th></tr></thead><tbody>\n", to);
    for (uint32_t e = 0; e <= r->exits; e++)
        page_exit_row(r, e, to);
    fputs("</tbody></table></div>\n</div>\n</section>\n", to);
}

int report_write(const report *r, FILE *to)
{
    int code;

    page_head(r, to);
    page_header(r, to);
    page_tiles(r, to);
    report_tradeoff(r, to);
    page_exits(r, to);
    code = report_pictures(r, to);
    report_classes(r, to);
    report_confusion(r, to);
    report_reliability(r, to);
    fputs("</main>\n<footer>Made by <b>leenet report</b>, libleenet ", to);
    html_text(to, ln_lib_version());
    fputs(". Time is measured on the machine that made this page. This page is one file and loads nothing.</footer>\n</body>\n</html>\n", to);
    return code;
}
