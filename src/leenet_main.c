/* leenet_main.c - the tool `leenet`: finds the command and runs it. */
#include <signal.h>
#include <string.h>

#include "tool.h"

static const struct command {
    const char *name;
    int       (*run)(int argc, char **argv);
    const char *about;
} commands[] = {
    { "info",  cmd_info,  "what a model is, where exits can go and at what cost" },
    { "train", cmd_train, "give a classifier exits and teach it when to leave" },
    { "eval",  cmd_eval,  "accuracy, share per exit, cost and time on labelled pictures" },
    { "infer", cmd_infer, "label pictures" },
    { "report", cmd_report, "one page that shows what leaves where, with pictures" },
    { "compare", cmd_compare, "every way to decide exits, on the same rows over budgets" },
    { "sweep", cmd_sweep, "what comes of every alpha, budget and size of the training set" },
    { "bench", cmd_bench, "time a model" },
    { "tune",  cmd_tune,  "measure which kernels are fastest on this machine" },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *to)
{
    fputs("usage: leenet COMMAND ...\n\n"
          "Early-exit inference for trained image classifiers (ONNX).\n\nCommands:\n", to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-9s%s\n", commands[i].name, commands[i].about);
    fputs("  help     this text; 'leenet help COMMAND' explains a command\n"
          "  version  the version, also --version\n\n"
          "Exit codes: 0 success, 1 failure, 2 wrong usage, 130 stopped by Ctrl-C.\n", to);
}

static int print_version(void)
{
    printf("leenet %s (%s)\n", ln_lib_version(), ln_lib_backend());
    return finish_output("version", TOOL_DONE);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    fputs("leenet: unknown command '", stderr);
    print_safe(stderr, name);
    fputs("', expected info, train, eval, infer, report, compare, sweep, bench, tune, help or version\n"
          "try 'leenet --help'\n", stderr);
    return TOOL_USAGE;
}

static bool is_one_of(const char *text, const char *a, const char *b, const char *c)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

int main(int argc, char **argv)
{
    const struct command *command;

    signal(SIGXFSZ, SIG_IGN);       /* a file that may grow no more is an error to be told, not an end */
    if (argc < 2) {
        print_usage(stderr);
        return TOOL_USAGE;
    }
    if (is_one_of(argv[1], "version", "--version", "-V"))
        return print_version();
    if (is_one_of(argv[1], "help", "--help", "-h")) {
        char help[] = "--help";
        char *only[] = { help, NULL };
        if (argc < 3) {
            print_usage(stdout);
            return finish_output("help", TOOL_DONE);
        }
        command = find_command(argv[2]);
        return command ? command->run(1, only) : unknown_command(argv[2]);
    }
    command = find_command(argv[1]);
    return command ? command->run(argc - 2, argv + 2) : unknown_command(argv[1]);
}
