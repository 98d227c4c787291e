/* tool.h - what the commands of the tool `leenet` share. The tool knows the
 * library by its public header only. */
#ifndef LEENET_TOOL_H
#define LEENET_TOOL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <leenet/leenet.h>

enum { TOOL_DONE = 0, TOOL_FAILED = 1, TOOL_USAGE = 2, TOOL_STOPPED = 130 };

/* ---- Commands: argv holds what follows the command's name ---------------- */

int cmd_info(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_infer(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_tune(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_sweep(int argc, char **argv);

/* ---- Options (cli_options.c, cli_help.c) --------------------------------- */

typedef struct cli_reals {
    double value[4];
    size_t count;               /* 0: not given */
} cli_reals;

typedef enum cli_kind {
    CLI_HEADING,                /* of a group of options; `help` is its text */
    CLI_FLAG,                   /* bool */
    CLI_TEXT,                   /* const char *, never empty */
    CLI_COUNT,                  /* uint32_t, low..high */
    CLI_WHOLE,                  /* uint64_t */
    CLI_BYTES,                  /* uint64_t, suffix K, M or G */
    CLI_REAL,                   /* double, low..high */
    CLI_REALS,                  /* cli_reals, each low..high */
    CLI_SIZE,                   /* uint32_t [2], each low..high, "N" or "HxW" */
    CLI_CHOICE,                 /* int: index of the word in `value`, "a|b|c" */
    CLI_POINT                   /* int64_t: a number, or -1 for "all" where high is not 0 */
} cli_kind;

typedef struct cli_option {
    cli_kind    kind;
    char        letter;         /* short name, 0 if none */
    const char *name;           /* "--data" */
    const char *value;          /* "SPEC"; NULL for flags */
    void       *to;
    double      low, high;
    const char *help;           /* with the default */
} cli_option;

typedef struct cli {
    const char       *command;
    const char       *usage;    /* "MODEL --data SPEC [options]" */
    const char       *about;
    const cli_option *options;  /* ended by one without help */
    const char       *operand;  /* "MODEL", "FILE" for the messages */
    size_t            least, most;  /* operands wanted */
} cli;

#define CLI_END { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, NULL }

/* Reads the options into their targets and leaves the operands in
 * argv[0..*argc-1]. CLI_GO, or the exit code to end with (after --help or a
 * message). */
enum { CLI_GO = -1 };
int cli_parse(const cli *c, int *argc, char **argv);

/* Prints "leenet COMMAND: text" and where to find help; TOOL_USAGE. */
int cli_wrong(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void cli_help(const cli *c);

/* "A,B,C" or "FROM:TO:COUNT", each low..high, at most `most` (cli_lists.c). False if it is neither. `value` is the
 * caller's to free in any case. */
typedef struct cli_list { double *value; size_t count; } cli_list;
bool list_read(cli_list *list, const char *text, double low, double high, size_t most);

/* "gate,max-prob": at most LN_POLICY_ORACLE of them. TOOL_DONE or the exit code. */
int  policies_read(int32_t *out, size_t *count, const char *command, const char *text);

/* ---- Options of several commands (cli_preprocess.c) ---------------------- */

typedef struct preprocess_flags {
    int         preset;         /* -1: none */
    uint32_t    resize;
    uint32_t    crop[2];        /* height, width; 0: not given */
    int         order;          /* -1: not given */
    double      scale;          /* 0: not given */
    cli_reals   mean, std;
} preprocess_flags;
#define PREPROCESS_FLAGS_INIT { -1, 0, { 0, 0 }, -1, 0.0, { { 0 }, 0 }, { { 0 }, 0 } }

#define PREPROCESS_OPTIONS(p)                                                                     \
    { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "From picture to network input" }, \
    { CLI_CHOICE, 0, "--preprocess", "torch|tf|caffe|raw", &(p).preset, 0, 0,                     \
      "a usual set, which the flags below change (default: what the model says)" },               \
    { CLI_COUNT, 0, "--resize", "N", &(p).resize, 1, 65535,                                       \
      "pixels of the shorter side (default: the crop's longer side)" },                           \
    { CLI_SIZE, 0, "--crop", "N|HxW", &(p).crop, 1, 65535,                                         \
      "centre crop (default: the network's input size)" },                                        \
    { CLI_CHOICE, 0, "--order", "rgb|bgr", &(p).order, 0, 0, "order of the channels (default: rgb)" }, \
    { CLI_REAL, 0, "--scale", "X", &(p).scale, 1e-9, 1e9,                                         \
      "the network is fed (pixel * X - mean) / std (default: 1/255)" },                           \
    { CLI_REALS, 0, "--mean", "X[,X,X]", &(p).mean, -1e9, 1e9,                                    \
      "per channel in the network's order, or one for all (default: 0)" },                        \
    { CLI_REALS, 0, "--std", "X[,X,X]", &(p).std, 1e-9, 1e9, "as --mean (default: 1)" }

/* ---- A budget or a bound on what is lost (cli_target.c) ------------------- */

typedef struct target_flags {
    double budget, max_drop, confidence;    /* 0, negative, 0: not given */
    int    cost, against, policy;           /* -1: not given */
} target_flags;
#define TARGET_FLAGS_INIT { 0.0, -1.0, 0.0, -1, -1, -1 }

#define DROP_OPTIONS(t)                                                                           \
    { CLI_REAL, 0, "--max-drop", "D", &(t).max_drop, 0, 100,                                      \
      "lose at most D points of accuracy against the plain network, proven on calibration rows "  \
      "(default: not asked)" },                                                                   \
    { CLI_REAL, 0, "--confidence", "C", &(t).confidence, 0.5, 0.999,                              \
      "of that proof (default: 0.95)" },                                                          \
    { CLI_CHOICE, 0, "--against", "labels|plain", &(t).against, 0, 0,                             \
      "D counts accuracy lost, or answers that differ from the plain network's (default: labels)" }

#define TARGET_OPTIONS(t)                                                                         \
    { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "By what it may cost or lose" },                    \
    { CLI_REAL, 0, "--budget", "B", &(t).budget, 1e-6, 1e3,                                       \
      "the most accurate setting that is expected to cost at most this share of the plain "       \
      "network (default: an operating point)" },                                                  \
    DROP_OPTIONS(t),                                                                              \
    { CLI_CHOICE, 0, "--cost", "time|params|macs", &(t).cost, 0, 0,                               \
      "what the budget speaks of (default: time)" },                                              \
    { CLI_CHOICE, 0, "--policy", "gate|max-prob|entropy|margin|patience|geometric|eenet|ensemble", \
      &(t).policy, 0, 0, "whose settings (default: gate)" }

bool      target_asked(const target_flags *flags);
/* TOOL_DONE, or the exit code after a message if flags do not go together. */
int       target_check(const char *command, const target_flags *flags, bool point_given);
ln_target target_of(const target_flags *flags);
/* What the flags ask for or, where neither they nor `other` (a point, the plain network) do, the model's own. False: none. */
bool      target_pick(ln_target *out, const target_flags *flags, const ln_model *model, bool other);
void      target_print(FILE *to, const ln_target *target);  /* as flags */
/* Says on standard error which setting it is. TOOL_DONE or the exit code. */
int       target_say(const char *command, const ln_model *model, const ln_target *target);
void      target_print_needed(FILE *to, uint64_t rows, const ln_setting *never);
double    setting_cost(const ln_setting *setting, int32_t cost);

#define JUDGED_OPTIONS(s)                                                                         \
    { CLI_TEXT, 0, "--class-map", "FILE[:all]", &(s)->class_map, 0, 0,                            \
      "tab-separated lines folder, network class: judge among these classes (:all: among every "  \
      "class of the network)" },                                                                  \
    { CLI_FLAG, 0, "--skip-bad", NULL, &(s)->skip_bad, 0, 0,                                      \
      "leave out pictures that cannot be read (default: fail)" }

#define ROWS_OPTIONS(rows)                                                                        \
    { CLI_COUNT, 0, "--rows", "N", &(rows), 1, 65536, "rows of one call (default: 1)" },          \
    { CLI_COUNT, 0, "--batch", "N", &(rows), 1, 65536, "the same" }

#define OUTPUT_OPTIONS(json, quiet)                                                               \
    { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Output" },                                         \
    { CLI_FLAG, 0, "--json", NULL, &(json), 0, 0, "JSON lines instead of tables" },               \
    { CLI_FLAG, 'q', "--quiet", NULL, &(quiet), 0, 0, "no progress on standard error" }

/* Sets what the flags say, if any was given. TOOL_DONE or the exit code. */
int preprocess_apply(const char *command, const preprocess_flags *flags, ln_model *model);

/* ---- Progress and Ctrl-C (cli_progress.c, cli_log.c) ---------------------- */

typedef struct progress_log {
    const char *command, *path; /* NULL: no log */
    FILE *file;                 /* NULL: nothing was written yet, or it failed */
    bool  json;
    bool  failed;
} progress_log;

typedef struct progress {
    bool         quiet, bar;
    bool         open;          /* a bar stands on the line */
    bool         any;           /* `last` is set */
    bool         shown;         /* `last` has been printed */
    int          tenth;         /* of this stage, printed last */
    double       started, drawn;
    ln_progress  last;
    char         stage[32];     /* last.stage points here */
    progress_log log;
} progress;

void progress_start(progress *p, bool quiet);
int  progress_show(const ln_progress *now, void *payload);             /* ln_progress_fn */
void progress_message(int32_t level, const char *text, void *payload); /* ln_log_fn */
void progress_end(progress *p);     /* ends the line; the log stays open */

/* By the name's ending, .csv or .json. TOOL_DONE or the exit code; the file is begun with the first record. */
int  log_check(const char *command, const char *path, const char *const *read, size_t count);
void log_start(progress_log *log, const char *command, const char *path);
void log_write(progress_log *log, double seconds, const ln_progress *now);
int  log_close(progress_log *log);

/* The first SIGINT asks the running call to stop, the second kills. */
void interrupt_catch(void);
bool interrupt_seen(void);

/* ---- JSON lines on stdout (cli_json.c) ----------------------------------- */

typedef struct json {
    FILE    *to;
    unsigned depth;
    bool     more[16];          /* the level has a member already */
} json;

void json_start(json *j, FILE *to);                 /* opens the line's object */
void json_finish(json *j);                          /* closes it and ends the line */
/* `key` NULL inside arrays. A number that is not finite becomes null. */
void json_text(json *j, const char *key, const char *value);
void json_real(json *j, const char *key, double value);
void json_whole(json *j, const char *key, uint64_t value);
void json_bool(json *j, const char *key, bool value);
void json_open(json *j, const char *key, char bracket);     /* '{' or '[' */
void json_close(json *j, char bracket);                     /* '}' or ']' */

/* Length of the well-formed UTF-8 sequence at `s`, 0 if there is none. */
size_t utf8_length(const unsigned char *s);

/* ---- Tables on stdout (cli_table.c) --------------------------------------- */

typedef struct table {
    char  **cells;
    size_t  count, room;
    size_t  columns;
} table;

/* `heads` are the column titles separated by '|'; one that begins with '<' is
 * left-aligned, the others are right-aligned. */
void table_start(table *t, const char *heads);
void table_cell(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(table *t, FILE *to);               /* and frees */

/* ---- Small things (cli_common.c) ------------------------------------------ */

double seconds_now(void);
uint32_t all_threads(void);                         /* processors of the machine */
void  *tool_alloc(size_t count, size_t size);       /* zeroed; ends the tool when there is none */

/* `text` with control characters replaced, for terminals. */
void print_safe(FILE *to, const char *text);

/* Prints the error; TOOL_STOPPED if the call was stopped on request, else TOOL_FAILED. */
int report_error(const char *command, ln_status status, const ln_error *err);

int  load_model(ln_model **out, const char *command, const char *path, progress *p);
/* TOOL_DONE or the exit code. */
int  load_data(ln_data **out, const char *command, const char *spec, const char *class_map, bool skip_bad);
void print_skipped(const char *command, const ln_data *data);

/* Flushes stdout: TOOL_FAILED if what was printed did not get there, else `code`. */
int finish_output(const char *command, int code);

/* ---- Files for results (cli_output.c) ---------------------------------------- */

/* Has its name only when it is whole; what was there before stays until then. */
typedef struct output { const char *command, *path; char target[PATH_MAX], *beside; FILE *file; } output;
/* TOOL_DONE or, after a message, the exit code. `whole` false drops it. */
int output_open(output *out, const char *command, const char *path);
int output_close(output *out, bool whole);

/* Whether a file can be written there, asked before long work: TOOL_DONE or the exit code. */
int check_writable(const char *command, const char *path);
/* The same, and that none of these [count] is replaced: models, SPECs, class maps, other results; NULL: none. */
int check_result(const char *command, const char *path, const char *const *read, size_t count);

/* ---- Exits and operating points (cli_points.c) ----------------------------- */

/* What the policy gave a row that left as `result` says: the likeliest class of those that compete; an ensemble's mixture has no other
 * answer than its label. probability may be NULL. */
int32_t given_answer(const ln_answers *answers, const ln_model *model, int32_t policy, const ln_result *result, size_t row, float *probability);

/* The name of exit `exit` of `model`: its value's, "end" for the network's own. */
const char *exit_name(const ln_model *model, uint32_t exit);
const char *head_name(int32_t head);
const char *cost_name(int32_t cost);                /* "time", "params", "macs" */
void        print_exits(const ln_model *model);
void        cell_point(table *t, const ln_point_info *info);    /* its alpha or policy, and whether it was moved */
void        print_points(const ln_model *model);
void        print_gates(const ln_model *model);     /* what the points' gates read and learned by, a line for each kind */
void        json_point(json *j, const ln_model *model, uint32_t point);    /* its fields; the caller opens and closes the object */

/* ---- Judging on labelled rows (cli_judge.c) ------------------------------- */

typedef struct judging {
    const char *command;
    ln_model   *model;
    ln_data    *data;
    int64_t     point;          /* -1: all */
    uint32_t    rows, threads;
    bool        plain, json;
    progress   *progress;
    const ln_target *target;    /* instead of points; NULL: points */
} judging;

/* On standard error where it is significant: these rows leave elsewhere than those of training. */
void print_drift(const char *command, int64_t point, double p);    /* point -1: a setting between points */

/* Evaluates and prints. TOOL_DONE or the exit code. */
int judge(const judging *j);

/* Warnings on standard error (cli_diagnose.c): heads that are worse than the one before; and of points that were judged,
 * found[count] with their exits: gates that never or always fire, and a network that knows the rows of training. */
void diagnose_heads(const char *command, const ln_model *model);
void diagnose_network(const char *command, const ln_model *model);
void diagnose_default(const char *command, const ln_model *model);  /* slower than the plain network */
void diagnose_points(const char *command, const ln_model *model, const uint32_t *points, const ln_evaluation *found, size_t count);

/* Wilson's 95 % interval of a share p of n rows. */
typedef struct wilson_interval { double low, high; } wilson_interval;
wilson_interval wilson(double p, uint64_t rows);

/* "expected" of an operating point, as a member of the open object. */
void json_expected(json *j, const ln_point_info *info);
/* `key`, as a member of the open object. */
void json_target(json *j, const char *key, const ln_target *target);
/* "setting", as a member of the open object. */
void json_setting(json *j, const ln_setting *setting);

#endif
