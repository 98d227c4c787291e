/* train_options.c - the command line of `leenet train`. */
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"

static const char name[] = "train";

/* Where the trade-off of cross entropy against time lies: beyond them nearly every row leaves at the first exit. */
#define DEFAULT_ALPHAS "0.005,0.01,0.02,0.03,0.05,0.1,0.15,0.2,0.3,0.4,0.6"

#define TRAIN_DATA_OPTIONS(s)                                                                     \
    { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Data" },                                           \
    { CLI_TEXT, 0, "--data", "SPEC", &(s)->data, 0, 0,                                            \
      "labelled pictures to train on: a folder of class folders, a .tar[.gz] of one, IDX images " \
      "or a CIFAR batch; may end in :part=K/M, :not=K/M, :share=K/M, :first=N, :skip=N (required)" },         \
    { CLI_TEXT, 0, "--val", "SPEC", &(s)->val, 0, 0,                                              \
      "rows that are only reported on at the end (default: none)" },                              \
    { CLI_TEXT, 0, "--head-data", "SPEC", &(s)->head_data, 0, 0,                                  \
      "further rows that only heads learn from, such as the network's own training rows "         \
      "(default: none)" },                                                                        \
    { CLI_TEXT, 0, "--gate-data", "SPEC", &(s)->gate_data, 0, 0,                                  \
      "rows for the gates (default: those of --data, out of fold)" },                             \
    { CLI_TEXT, 0, "--class-map", "FILE[:all]", &(s)->class_map, 0, 0,                            \
      "tab-separated lines folder, network class: keep the classifier and judge among these "     \
      "classes (:all: among every class of the network)" },                                       \
    { CLI_FLAG, 0, "--skip-bad", NULL, &(s)->skip_bad, 0, 0,                                      \
      "leave out pictures that cannot be read (default: fail)" },                                 \
    { CLI_TEXT, 'o', "--output", "OUT.onnx", &(s)->output, 0, 0, "where the model goes (required)" }

#define TRAIN_EXIT_OPTIONS(s)                                                                     \
    { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Exits" },                                          \
    { CLI_TEXT, 0, "--exits", "auto[:K][@B,C...]|even:K|NAME,NAME...", &(s)->exits, 0, 0,         \
      "K exits, or as many as pay, where they lose least accuracy at mean costs of these shares " \
      "of the network's (without @: --budget's, or 0.25,0.35,0.5), found by trying small heads everywhere; K "   \
      "exits spread evenly by multiply-adds; or behind these values. Exits MODEL has are "        \
      "replaced (default: auto, with --recipe even:4)" },                                         \
    { CLI_CHOICE, 0, "--head", "pool|flatten|conv", &(s)->head, 0, 0,                             \
      "mean, deviation, maximum and covariances of channels, all activations, or two small convolutions "      \
      "(default: pool)" },                                                                        \
    { CLI_COUNT, 0, "--hidden", "N", &(s)->hidden, 0, 65536,                                      \
      "hidden layer of a head, 0: linear (default: pool 256, 64 where it reads cells, else 0)" },  \
    { CLI_COUNT, 0, "--cells", "N", &(s)->cells, 1, 64,                                           \
      "a head looks at N x N cells of the map (default: pool 4 up to 64 channels, else 1; "       \
      "conv 2)" },                                                                                \
    { CLI_CHOICE, 0, "--covariance", "auto|on|off", &(s)->covariance, 0, 0,                       \
      "a pool head also reads how every two channels vary together (default: auto, up to 32 "     \
      "channels)" },                                                                              \
    { CLI_COUNT, 0, "--channels", "N", &(s)->channels, 1, 1024,                                   \
      "of a conv head's first convolution; the second has twice as many (default: 64)" }

#define TRAIN_GATE_OPTIONS(s)                                                                     \
    { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Gates" },                                          \
    { CLI_TEXT, 0, "--alpha", "A[,B...]|FROM:TO:COUNT", &(s)->alpha, 0, 0,                        \
      "weight of cost against being right, 0 to 1; one operating point each (default: "           \
      DEFAULT_ALPHAS " and, without --budget, --max-drop, --threshold and --recipe, points "       \
      "expected to cost 0.5, 0.35 and 0.25)" }, \
    { CLI_CHOICE, 0, "--gate", "stats|features|both", &(s)->gate, 0, 0,                           \
      "gates read the head's statistics, the exit's features, or both (default: stats)" },        \
    { CLI_CHOICE, 0, "--objective", "induction|leenet|right|no-regret", &(s)->objective, 0, 0,    \
      "gates learn the LEENet loss from the last to the first, the same all together, whether "   \
      "the head is right, or whether going on would help (default: induction; in --recipe leenet " \
      "leenet)" },                                                                                \
    { CLI_COUNT, 0, "--gate-hidden", "N", &(s)->gate_hidden, 0, 4096,                             \
      "hidden layer of a gate, 0: linear (default: 16; 0 in --recipe leenet, and on statistics "   \
      "unless --objective leenet)" },                                                             \
    { CLI_CHOICE, 0, "--cost", "time|params|macs", &(s)->cost, 0, 0,                              \
      "what alpha weighs (default: time)" },                                                      \
    { CLI_CHOICE, 0, "--price", "error|ce", &(s)->price, 0, 0,                                    \
      "what being wrong costs: 1 or cross entropy (default: error)" },                               \
    { CLI_REAL, 0, "--threshold", "T", &(s)->threshold, 1e-6, 1 - 1e-6,                           \
      "a row leaves when its gate is above T; gates are then not joined with the margin (default: "  \
      "chosen on the rows of training)" },                                                        \
    { CLI_TEXT, 0, "--policies", "A,B...|all", &(s)->policies, 0, 0,                              \
      "other ways to decide on the same heads, for comparison or use; an operating point and "    \
      "settings each (default: none)" },                                                          \
    { CLI_CHOICE, 0, "--recipe", "leenet", &(s)->recipe, 0, 0,                                    \
      "LEENet's own: --exits even:4 --head flatten --unchained --gate features --gate-hidden 0 "   \
      "--objective leenet --price ce --cost params --threshold 0.5, gates on the heads' own rows; flags given beside it win, heads stay "    \
      "unchained" }

#define TRAIN_TARGET_OPTIONS(s)                                                                   \
    { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "By what it may cost or lose" },                    \
    { CLI_TEXT, 0, "--budget", "B[,B...]|FROM:TO:COUNT", &(s)->budget, 0, 0,                                    \
      "shares of the plain network's --cost: exits are placed for them, the most accurate setting " \
      "within each is reported and becomes an operating point unless it has one or is the plain "   \
      "network, and the first that can be kept is what OUT uses by default (default: none)" }, \
    DROP_OPTIONS((s)->target),                                                                    \
    { CLI_TEXT, 0, "--cal-data", "SPEC", &(s)->cal_data, 0, 0,                                    \
      "rows for that proof, which nothing is trained on (default: with --max-drop a fifth of "    \
      "--data is set aside)" }

#define TRAIN_WORK_OPTIONS(s)                                                                     \
    { CLI_HEADING, 0, NULL, NULL, NULL, 0, 0, "Training" },                                       \
    { CLI_COUNT, 0, "--augment", "N", &(s)->augment, 0, 1000,                                     \
      "further passes over pictures flipped, shifted, zoomed and recoloured at random "           \
      "(default: 0)" },                                                                           \
    { CLI_FLAG, 0, "--unchained", NULL, &(s)->unchained, 0, 0,                                    \
      "every head answers on its own (default: a share of what the exit before said is added; "   \
      "--recipe leenet is unchained)" },                                                          \
    { CLI_REAL, 0, "--label-smoothing", "X", &(s)->label_smoothing, 0, 0.99, "of heads (default: 0)" }, \
    { CLI_REAL, 0, "--dropout", "X", &(s)->dropout, 0, 0.99, "of what heads read (default: 0)" }, \
    { CLI_REAL, 0, "--distill", "X", &(s)->distill, 0, 1,                                         \
      "heads learn the network's own probabilities by X, the labels by 1 - X (default: 0)" },     \
    { CLI_COUNT, 0, "--epochs", "N", &(s)->epochs, 1, 100000,                                      \
      "epochs of a head; the one best on rows held out is kept (default: 20)" },                 \
    { CLI_COUNT, 0, "--folds", "N", &(s)->folds, 2, 100, "folds of cross-fitting the heads (default: 10 for pool heads on 20 rows or more, else 5)" },   \
    { CLI_COUNT, 0, "--batch", "N", &(s)->batch, 1, 1024, "rows a step (default: 64, linear flatten without dropout 128)" },           \
    { CLI_REAL, 0, "--lr", "X", &(s)->learning_rate, 1e-12, 1e3, "Adam's step (default: conv 0.005, linear flatten at most 8 / inputs, else 0.001)" }, \
    { CLI_REAL, 0, "--weight-decay", "X", &(s)->weight_decay, 0, 1e3, "decoupled, 0: none (default: 0.05)" }, \
    { CLI_COUNT, 0, "--gate-epochs", "N", &(s)->gate_epochs, 1, 100000,                            \
      "epochs of gates that learn by descent; linear ones on statistics do not (default: 100)" },  \
    { CLI_WHOLE, 0, "--seed", "N", &(s)->seed, 0, 0, "of all random choices (default: 0)" },      \
    { CLI_COUNT, 0, "--threads", "N", &(s)->threads, 0, 1024, "0: all (default: 0)" },            \
    { CLI_BYTES, 0, "--max-memory", "BYTES", &(s)->max_memory, 0, 0,                              \
      "for cached features, more go to a file; suffix K, M, G (default: 4G)" },                   \
    { CLI_TEXT, 0, "--cache", "FOLDER", &(s)->cache, 0, 0,                                        \
      "where that file goes (default: /tmp)" },                                                   \
    { CLI_FLAG, 0, "--no-tune", NULL, &(s)->no_tune, 0, 0,                                        \
      "kernels by rule (default: measured first, as 'leenet tune' does)" },                       \
    { CLI_FLAG, 0, "--keep-partial", NULL, &(s)->keep_partial, 0, 0,                              \
      "when stopped, save what is trained so far (default: save nothing)" },                      \
    { CLI_TEXT, 0, "--log", "FILE.csv|.json", &(s)->log, 0, 0,                                    \
      "a record of every epoch, for plots (default: none)" }

static int read_command_line(train_settings *s, int *argc, char **argv)
{
    const cli_option options[] = {
        TRAIN_DATA_OPTIONS(s),
        TRAIN_EXIT_OPTIONS(s),
        TRAIN_GATE_OPTIONS(s),
        TRAIN_TARGET_OPTIONS(s),
        TRAIN_WORK_OPTIONS(s),
        PREPROCESS_OPTIONS(s->preprocess),
        OUTPUT_OPTIONS(s->json, s->quiet),
        CLI_END
    };
    const cli c = { name, "MODEL --data SPEC -o OUT.onnx [options]",
                    "Gives the ONNX classifier MODEL exits: trains their heads, the last layer anew "
                    "where the data has another number of classes, and gates for every alpha. The "
                    "default of the result is the first --budget that can be kept, or --max-drop; without "
                    "them the fastest point that is expected to lose at most 1 point of accuracy, or, where none "
                    "is, the most accurate.",
                    options, "one MODEL", 1, 1 };

    return cli_parse(&c, argc, argv);
}

static void set_int(int *value, int fallback)
{
    if (*value < 0)
        *value = fallback;
}

static void fill_defaults(train_settings *s)
{
    bool leenet = s->recipe == 0;

    if (!s->exits)
        s->exits = leenet ? "even:4" : "auto";
    s->usual_points = !s->alpha && !s->budget && !leenet && s->threshold <= 0 && s->target.max_drop < 0;
    if (!s->alpha)
        s->alpha = DEFAULT_ALPHAS;
    set_int(&s->head, leenet ? LN_HEAD_FLATTEN : LN_HEAD_POOL);
    set_int(&s->gate, leenet ? LN_GATE_FEATURES : LN_GATE_STATISTICS);
    set_int(&s->cost, leenet ? LN_COST_PARAMS : LN_COST_TIME);
    set_int(&s->price, leenet ? LN_PRICE_CROSS_ENTROPY : LN_PRICE_ERROR);
    set_int(&s->objective, leenet ? LN_OBJECTIVE_LEENET : LN_OBJECTIVE_INDUCTION);
    if (leenet && s->gate_hidden == HIDDEN_NOT_GIVEN)
        s->gate_hidden = 0;
    if (leenet && s->threshold <= 0)
        s->threshold = 0.5;
    s->unchained |= leenet;
}

void train_start(train_settings *s)
{
    *s = (train_settings){ .recipe = -1, .head = -1, .gate = -1, .cost = -1, .price = -1, .objective = -1,
                           .hidden = HIDDEN_NOT_GIVEN, .gate_hidden = HIDDEN_NOT_GIVEN,
                           .weight_decay = -1, .target = TARGET_FLAGS_INIT, .preprocess = PREPROCESS_FLAGS_INIT };
}

/* `gate` is among the policies that compare takes; gates are trained in any case. */
static void leave_out_gates(train_settings *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->n_policies; i++)
        if (s->policy[i] != LN_POLICY_GATE)
            s->policy[kept++] = s->policy[i];
    s->n_policies = kept;
    s->policies = kept ? s->policies : NULL;
}

int train_complete(train_settings *s, const char *command)
{
    int code;

    fill_defaults(s);
    if (s->head == LN_HEAD_FLATTEN && s->hidden != HIDDEN_NOT_GIVEN && s->hidden != 0)
        return cli_wrong(command, "--hidden %u: a flatten head has no hidden layer", s->hidden);
    if (s->head != LN_HEAD_POOL && s->covariance == 1)
        return cli_wrong(command, "--covariance on: only pool heads read covariances%s",
                         s->recipe == 0 ? "; --recipe leenet has flatten heads: add --head pool" : "");
    if (s->head != LN_HEAD_CONV && s->channels)
        return cli_wrong(command, "--channels %u: only a conv head has channels", s->channels);
    if (s->gate_epochs && s->gate == LN_GATE_STATISTICS && s->objective != LN_OBJECTIVE_LEENET &&
        (s->gate_hidden == HIDDEN_NOT_GIVEN || s->gate_hidden == 0))
        return cli_wrong(command, "--gate-epochs %u: linear gates on statistics are fitted without epochs; gates that have some read features "
                         "(--gate features or both), have a --gate-hidden of 1 or more, or learn by --objective leenet", s->gate_epochs);
    code = train_read_places(s, command);
    if (code == TOOL_DONE && s->policies && strcmp(s->policies, "all") != 0) {
        code = policies_read(s->policy, &s->n_policies, command, s->policies);
        leave_out_gates(s);
    }
    return code == TOOL_DONE ? train_read_alphas(s, command) : code;
}

int train_parse(train_settings *s, int *argc, char **argv)
{
    int code;

    train_start(s);
    code = read_command_line(s, argc, argv);
    if (code != CLI_GO)
        return code;
    if (!s->data)
        return cli_wrong(name, "--data SPEC is required");
    if (!s->output)
        return cli_wrong(name, "-o OUT.onnx is required");
    if (target_check(name, &s->target, false) != TOOL_DONE)
        return TOOL_USAGE;
    code = train_complete(s, name);
    if (code == TOOL_DONE)
        code = train_read_budgets(s, name);
    if (code == TOOL_DONE)
        train_set_aside(s);
    return code == TOOL_DONE ? CLI_GO : code;
}

void train_settings_free(train_settings *s)
{
    if (s->places)
        free(s->places[0]);
    free(s->places);
    free(s->place_budgets.value);
    free(s->alphas.value);
    free(s->budgets.value);
    free(s->own_data);
    free(s->own_cal);
}
