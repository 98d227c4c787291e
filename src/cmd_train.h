/* cmd_train.h - what `leenet train` was asked for. */
#ifndef LEENET_CMD_TRAIN_H
#define LEENET_CMD_TRAIN_H

#include "tool.h"

#define HIDDEN_NOT_GIVEN UINT32_MAX

typedef struct train_settings {
    const char      *data, *val, *gate_data, *class_map, *output, *log, *cache;
    bool             skip_bad, keep_partial, no_tune, unchained, json, quiet;
    int              recipe;        /* 0: leenet, -1: none */
    const char      *exits, *alpha, *policies;
    int32_t          policy[LN_POLICY_ORACLE];  /* [n_policies], all if that is 0 and policies are asked for */
    size_t           n_policies;
    char           **places;        /* [n_places] value names, NULL for auto and even */
    uint32_t         n_places;      /* auto and even: how many; 0: as many as pay */
    bool             even;
    cli_list         place_budgets; /* none: the library's */
    cli_list         alphas;
    int              head, gate, cost, price, objective;   /* LN_*; -1: not given */
    const char      *head_data;                 /* NULL: none */
    uint32_t         augment;
    double           label_smoothing, dropout, distill;
    uint32_t         cells, channels;           /* 0: not given */
    int              covariance;                /* index in auto|on|off */
    uint32_t         hidden, gate_hidden;       /* 0: linear, or HIDDEN_NOT_GIVEN */
    double           threshold;                 /* 0: chosen on the rows of training */
    uint32_t         epochs, folds, batch, gate_epochs, threads;
    double           learning_rate, weight_decay;
    uint64_t         seed, max_memory;
    bool             usual_points;  /* beside the usual alphas */
    const char      *budget, *cal_data;
    cli_list         budgets;
    target_flags     target;        /* but for its budget */
    char            *own_data, *own_cal;    /* where rows were set aside: what data and cal_data point to */
    preprocess_flags preprocess;
} train_settings;

/* train_options.c: CLI_GO with everything checked that can be without a model,
 * or the exit code. train_settings_free goes with either. */
int  train_parse(train_settings *s, int *argc, char **argv);
void train_settings_free(train_settings *s);

/* For commands that train on the way: settings before and after their flags were read. TOOL_DONE or the exit code. */
void train_start(train_settings *s);
int  train_complete(train_settings *s, const char *command);
/* cmd_train.c: exits, heads and gates into `model`. */
ln_status train_model(const train_settings *s, ln_model *model, ln_data *data, progress *p, ln_error *err);

/* train_lists.c: what --exits, --alpha and --budget say; TOOL_DONE or the exit code. */
int train_read_places(train_settings *s, const char *command);
int train_read_alphas(train_settings *s, const char *command);
int train_read_budgets(train_settings *s, const char *command);

/* train_targets.c */
void      train_set_aside(train_settings *s);   /* rows of --data for the proof, if none are given */
size_t    train_request_count(const train_settings *s);
/* Before hours are spent: TOOL_DONE, or the exit code after a message if rows of `data`, which `flag` gave, are among those to learn from;
 * data and members of learned [count] may be NULL. */
int       train_check_apart(const char *flag, const ln_data *data, const ln_data *const *learned, size_t count, const char *why);
/* The same, where it is no more than worth knowing. */
void      train_warn_of_shared(const char *command, const char *flag, const ln_data *data, const ln_data *const *learned, size_t count);
ln_status train_calibrate(const train_settings *s, ln_model *model, ln_data *rows, progress *p, ln_error *err);
/* Operating points at the budgets that were asked for, or at usual ones. */
ln_status train_add_budget_points(const train_settings *s, ln_model *model, ln_error *err);
/* What was asked for first is what the model's users get. */
ln_status train_default_target(const train_settings *s, ln_model *model, ln_error *err);
/* Prints requests beside what is expected and, with `val`, what came out. TOOL_DONE or the exit code. */
int       train_report_targets(const train_settings *s, ln_model *model, ln_data *val, progress *p);

#endif
