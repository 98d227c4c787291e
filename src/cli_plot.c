/* cli_plot.c - runs gnuplot. The script goes to its standard input and the picture comes from its standard output,
 * so no file name is ever part of a script. */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stats.h"

extern char **environ;

static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), k = strlen(ending);
    return n > k && strcmp(path + n - k, ending) == 0;
}

int plot_check(const char *command, const char *path)
{
    if (ends_in(path, ".svg") || ends_in(path, ".png"))
        return TOOL_DONE;
    return cli_wrong(command, "-o: '%s' ends in neither .svg nor .png", path);
}

FILE *plot_begin(const char *path)
{
    FILE *script = tmpfile();

    if (script && ends_in(path, ".svg"))
        fputs("set terminal svg size 780,500 font 'sans,14' background rgb 'white'\n", script);
    else if (script)
        fputs("set terminal pngcairo size 1560,1000 font 'sans,26' linewidth 2 background rgb 'white'\n", script);
    if (script)
        fputs("set datafile separator ','\nset border 3 lc rgb '#747f8d'\nset tics nomirror textcolor rgb '#333a44'\nset grid lc rgb '#e3e6eb' lt 1\n"
              "set key bottom right reverse Left spacing 1.1\n", script);
    return script;
}

static int run(FILE *script, int picture)
{
    char program[] = "gnuplot";
    char *argv[] = { program, NULL };
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status, failed;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, picture, STDOUT_FILENO);
    failed = posix_spawnp(&child, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return failed == ENOENT ? 127 : -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int cannot(const char *command, const char *path, const char *why)
{
    fprintf(stderr, "leenet %s: cannot draw '", command);
    print_safe(stderr, path);
    fprintf(stderr, "': %s\n", why);
    return TOOL_FAILED;
}

int plot_end(FILE *script, const char *command, const char *path)
{
    output picture;

    if (!script || fflush(script) != 0 || fseek(script, 0, SEEK_SET) != 0)
        return cannot(command, path, strerror(errno));
    int code = output_open(&picture, command, path);
    if (code != TOOL_DONE) {
        fclose(script);
        return code;
    }
    code = run(script, fileno(picture.file));
    fclose(script);
    int closed = output_close(&picture, code == 0);
    if (code == 0)
        return closed;
    if (code != 127)
        return cannot(command, path, "gnuplot failed");
    fprintf(stderr, "leenet %s: gnuplot is not installed; the data was written, the picture was not\n", command);
    return TOOL_DONE;
}

char *plot_data_path(const char *path)
{
    size_t stem = strlen(path) - 4;
    char *out = tool_alloc(stem + 5, 1);

    memcpy(out, path, stem);
    memcpy(out + stem, ".csv", 4);
    return out;
}
