/* conformance FOLDER [PREFIX...] - runs every case below FOLDER (those whose names
 * begin with one of the prefixes), prints a line for each and the counts.
 * Exit 1 if a case is wrong, crashes, hangs or is refused though a value is
 * expected of it; 2 if there is nothing to run. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"
#include "onnx/onnx.h"

static const char *const outcome_name[OUTCOMES] = { "pass", "refused", "wrong", "crash", "hang" };

typedef struct one_case {
    char name[256];
    char kind[64];              /* "" where the index does not say */
    char operators[256];        /* joined by '+' */
    bool malformed;
} one_case;

typedef struct case_list {
    one_case *items;
    size_t    count, capacity;
} case_list;

static one_case *list_add(case_list *list)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 256;
        list->items = realloc(list->items, list->capacity * sizeof *list->items);
        if (list->items == NULL) {
            perror("conformance");
            exit(2);
        }
    }
    return memset(&list->items[list->count++], 0, sizeof *list->items);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const one_case *)a)->name, ((const one_case *)b)->name);
}

static bool exists(const char *folder, const char *name, const char *file)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s%s", folder, name, file);
    return access(path, R_OK) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Adds <folder>/<below>* that are cases; names keep `below` in front. */
static void list_folder(case_list *list, const char *folder, const char *below, bool malformed)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, below);
    DIR *d = opendir(path);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char name[256];
        if (e->d_name[0] == '.' ||
            snprintf(name, sizeof name, "%s%s", below, e->d_name) >= (int)sizeof name)
            continue;
        if (malformed ? !ends_with(name, ".onnx") : !exists(folder, name, "/model.onnx"))
            continue;
        one_case *c = list_add(list);
        memcpy(c->name, name, sizeof name);
        c->malformed = malformed;
    }
    closedir(d);
}

/* Kinds and operators from <folder>/<below>index.tsv, found by its head line. */
static void list_index(case_list *list, const char *folder, const char *below)
{
    char path[MAX_PATH], line[4096];
    int kind_at = -1;
    snprintf(path, sizeof path, "%s/%sindex.tsv", folder, below);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return;
    while (fgets(line, sizeof line, f) != NULL) {
        const char *field[16] = { NULL };
        int n = 0;
        line[strcspn(line, "\n")] = '\0';
        for (char *p = line; p != NULL && n < 16;) {
            field[n++] = p;
            p = strchr(p, '\t');
            if (p != NULL)
                *p++ = '\0';
        }
        if (kind_at < 0) {
            for (int i = 0; i < n; i++)
                if (strcmp(field[i], "kind") == 0)
                    kind_at = i;
            continue;
        }
        one_case key;
        snprintf(key.name, sizeof key.name, "%s%.200s", below, field[0]);
        one_case *c = bsearch(&key, list->items, list->count, sizeof key, by_name);
        if (c == NULL || kind_at >= n)
            continue;
        snprintf(c->kind, sizeof c->kind, "%s", field[kind_at]);
        snprintf(c->operators, sizeof c->operators, "%s", field[1]);
    }
    fclose(f);
}

/* True if the operator table has every operator of the case. */
static bool known_operators(const char *operators)
{
    char text[256];
    snprintf(text, sizeof text, "%s", operators);
    for (char *p = text, *next; p != NULL; p = next) {
        next = strchr(p, '+');
        if (next != NULL)
            *next++ = '\0';
        bool known = strcmp(p, "Constant") == 0;
        const ln__onnx_operator *o;
        for (size_t i = 0; !known && (o = ln__onnx_operator_at(i)) != NULL; i++)
            known = strcmp(o->name, p) == 0;
        if (!known)
            return false;
    }
    return true;
}

/* A refusal is a gap in fragments, and in plain float cases of operators that
 * the library says it knows. */
static bool value_expected(const one_case *c)
{
    static const char *const kinds[] = { "float-nchw", "float-other", "constant", "shape-arithmetic" };
    if (strcmp(c->kind, "classifier-fragment") == 0)
        return true;
    for (size_t i = 0; i < LN__COUNT(kinds); i++)
        if (strcmp(c->kind, kinds[i]) == 0)
            return known_operators(c->operators);
    return false;
}

/* Sanitizers and valgrind reserve address space far beyond what is used. */
static void limit_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit limit = { (rlim_t)3 << 30, (rlim_t)3 << 30 };
    if (getenv("CONFORMANCE_NO_LIMIT") == NULL)
        (void)setrlimit(RLIMIT_AS, &limit);
#endif
}

static void child(int fd, const char *folder, const one_case *c)
{
    verdict v = { .outcome = PASS };
    limit_memory();
    if (chdir(folder) != 0)
        exit(3);
    if (c->malformed)
        case_run_malformed(&v, c->name);
    else
        case_run(&v, c->name);
    for (char *p = v.text; *p != '\0'; p++)
        if (*p == '\n')
            *p = ' ';
    exit(write(fd, &v, sizeof v) == (ssize_t)sizeof v ? 0 : 3);
}

/* Reads the child's verdict; false after CASE_SECONDS. */
static bool wait_verdict(int fd, verdict *v, size_t *got)
{
    double end = ln__now() + CASE_SECONDS;
    *got = 0;
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        double left = end - ln__now();
        if (left <= 0)
            return false;
        if (poll(&p, 1, (int)(left * 1000) + 1) <= 0)
            continue;
        ssize_t n = read(fd, (char *)v + *got, sizeof *v - *got);
        if (n <= 0)
            return true;
        *got += (size_t)n;
    }
}

static void run_case(verdict *v, const char *folder, const one_case *c)
{
    int pipe_fd[2], how = 0;
    size_t got = 0;
    fflush(NULL);
    if (pipe(pipe_fd) != 0) {
        perror("conformance: pipe");
        exit(2);
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(pipe_fd[0]);
        child(pipe_fd[1], folder, c);
    }
    close(pipe_fd[1]);
    if (pid < 0) {
        perror("conformance: fork");
        exit(2);
    }
    bool in_time = wait_verdict(pipe_fd[0], v, &got);
    if (!in_time)
        kill(pid, SIGKILL);
    close(pipe_fd[0]);
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
        ;
    if (!in_time) {
        v->outcome = HANG;
        snprintf(v->text, sizeof v->text, "no answer in %d s", (int)CASE_SECONDS);
    } else if (WIFSIGNALED(how) || WEXITSTATUS(how) != 0 || got != sizeof *v) {
        v->outcome = CRASH;
        if (WIFSIGNALED(how))
            snprintf(v->text, sizeof v->text, "signal %d", WTERMSIG(how));
        else
            snprintf(v->text, sizeof v->text, "exit status %d", WEXITSTATUS(how));
    }
}

static bool chosen(const char *name, int n, char **prefixes)
{
    for (int i = 0; i < n; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: conformance FOLDER [PREFIX...]\n");
        return 2;
    }
    case_list list = { NULL, 0, 0 };
    list_folder(&list, argv[1], "", false);
    list_folder(&list, argv[1], "fragments/", false);
    list_folder(&list, argv[1], "malformed/", true);
    qsort(list.items, list.count, sizeof *list.items, by_name);
    list_index(&list, argv[1], "");
    list_index(&list, argv[1], "fragments/");

    size_t counts[OUTCOMES] = { 0 }, gaps = 0, ran = 0;
    for (size_t i = 0; i < list.count; i++) {
        const one_case *c = &list.items[i];
        if (!chosen(c->name, argc - 2, argv + 2))
            continue;
        verdict v;
        run_case(&v, argv[1], c);
        bool gap = v.outcome == REFUSED && value_expected(c);
        printf("%s %s%s%s%s\n", outcome_name[v.outcome], c->name, v.outcome == PASS ? "" : ": ",
               gap ? "(gap) " : "", v.outcome == PASS ? "" : v.text);
        counts[v.outcome]++;
        gaps += gap;
        ran++;
    }
    free(list.items);
    if (ran == 0) {
        fprintf(stderr, "conformance: no case in %s\n", argv[1]);
        return 2;
    }
    printf("cases %zu  pass %zu  refused %zu (gaps %zu)  wrong %zu  crash %zu  hang %zu\n", ran,
           counts[PASS], counts[REFUSED], gaps, counts[WRONG], counts[CRASH], counts[HANG]);
    return gaps + counts[WRONG] + counts[CRASH] + counts[HANG] > 0;
}
