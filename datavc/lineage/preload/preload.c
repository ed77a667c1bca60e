/* What every dynamically linked program that `datavc run` starts loads first, through LD_PRELOAD: it notes which files are
 * opened, renamed and removed, and which programs are started, whatever language does it.
 *
 * The program must not feel it. So a call is passed on first, and noted when it succeeded; errno is left as the call left it;
 * nothing is allocated, locked or printed, no descriptor stays open, and what cannot be noted is counted and given up.
 *
 * Events go into files that all processes of a run share, `preload-0`, `preload-1` and so on in the folder DATAVC_RUN_LOG,
 * mapped into memory: noting takes no system call, what was noted survives kill -9, and threads, forks and vforks take their
 * places in the file by one atomic addition. A file is a header, in the first one a table of hashes of what was noted already,
 * and events: a letter, an absolute path, NUL. The letter is written last, so that an event cut short has none. The space is
 * written with zeros when a file is made: a full disk is met there, and not as SIGBUS in the midst of the program.
 *
 * Letters: r read, w written, m moved there, d removed, e a program that is started, u one that
 * is started without this library, l one in which it is.
 *
 * datavc/lineage/preload/__init__.py makes the first file and reads them all. Built without the C library's start files and
 * symbol versions (hatch_build.py), so that one binary serves every glibc, and musl.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if UINTPTR_MAX != UINT64_MAX
#error "the log is made for machines of 64 bits"
#endif

/* musl makes these macros; here they are functions of their own, since programs built for glibc call them. */
#undef open64
#undef openat64
#undef creat64
#undef fopen64
#undef freopen64
#undef truncate64

#define SEEN_BY_ALL __attribute__((visibility("default")))
#define LONGEST 4096
#define SLOTS (1UL << 17)
#define PROBES 8
#define SIZE (1UL << 20)   /* of every file but the first, which has a table of as many bytes before its events */
#define MOST 1024          /* files; what comes after a gigabyte of events is lost, and counted */

struct log {
    uint64_t next;   /* where the next event goes; beyond `size` when the file is full */
    uint64_t size;
    uint64_t number;
    uint64_t lost;   /* events that could not be noted; counted in the first file */
    uint64_t unused[4];
};

static char folder[LONGEST];
static size_t folder_length;
static struct log *first;
static struct log *current;
static uint64_t *table;

/* The next definition of a function: the C library's, or that of a library which was preloaded besides this one. */
static void *real(void **slot, const char *name)
{
    void *found = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (found == NULL) {
        found = dlsym(RTLD_NEXT, name);
        __atomic_store_n(slot, found, __ATOMIC_RELEASE);
    }
    return found;
}

#define REAL(type, name) static void *slot; __typeof__(type) call = (__typeof__(type))real(&slot, name)

static void lose(void)
{
    __atomic_add_fetch(&first->lost, 1, __ATOMIC_RELAXED);
}

static struct log *map(int fd, size_t size)
{
    void *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return found == MAP_FAILED ? NULL : found;
}

static int open_log(const char *name, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Append to the folder's name: "/", a word, and a number. */
static void name_log(char *name, const char *word, uint64_t number)
{
    char digits[24];
    char *end = name + folder_length;
    int count = 0;
    memcpy(name, folder, folder_length);
    while (*word)
        *end++ = *word++;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *end++ = digits[--count];
    *end = 0;
}

/* Make a file, whole under another name first, so that whoever finds it finds it whole. */
static void make_log(const char *name, uint64_t number)
{
    static const char zeros[4096];
    char made[LONGEST + 32];
    struct log head = {sizeof(struct log), SIZE, number, 0, {0}};
    struct rlimit limit;
    int fd, whole = 1;

    /* Beyond the limit, a write ends the program by SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < SIZE)
        return;
    name_log(made, "/new-", (uint64_t)syscall(SYS_gettid));
    fd = open_log(made, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0)
        return;
    for (uint64_t at = 0; at < SIZE && whole; at += sizeof zeros)
        whole = syscall(SYS_pwrite64, fd, zeros, sizeof zeros, at) == sizeof zeros;
    if (whole && syscall(SYS_pwrite64, fd, &head, sizeof head, 0L) == sizeof head)
        syscall(SYS_linkat, AT_FDCWD, made, AT_FDCWD, name, 0);
    syscall(SYS_close, fd);
    syscall(SYS_unlinkat, AT_FDCWD, made, 0);
}

/* Whether there is a file after the full one. The full one stays mapped: another thread may be writing into it. */
static int go_on(struct log *full)
{
    char name[LONGEST + 32];
    struct log *found, *expected = full;
    int fd;

    if (__atomic_load_n(&current, __ATOMIC_ACQUIRE) != full)
        return 1;
    if (full->number + 1 >= MOST)
        return 0;
    name_log(name, "/preload-", full->number + 1);
    fd = open_log(name, O_RDWR);
    if (fd < 0) {
        make_log(name, full->number + 1);
        fd = open_log(name, O_RDWR);
        if (fd < 0)
            return 0;
    }
    found = map(fd, SIZE);
    syscall(SYS_close, fd);
    if (found == NULL)
        return 0;
    if (!__atomic_compare_exchange_n(&current, &expected, found, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        munmap(found, SIZE);
    return 1;
}

static uint64_t hash(uint64_t value, const char *text, size_t length)
{
    for (size_t at = 0; at < length; at++)
        value = (value ^ (unsigned char)text[at]) * 0x100000001b3UL;
    return value;
}

static int is_known(uint64_t value)
{
    for (uint64_t at = 0; at < PROBES; at++)
        if (__atomic_load_n(&table[(value + at) % SLOTS], __ATOMIC_RELAXED) == value)
            return 1;
    return 0;
}

/* Where all places are taken, an older one is forgotten: then something is noted twice, which is no harm. */
static void know(uint64_t value)
{
    for (uint64_t at = 0; at < PROBES; at++) {
        uint64_t empty = 0;
        if (__atomic_compare_exchange_n(&table[(value + at) % SLOTS], &empty, value, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return;
    }
    __atomic_store_n(&table[value % SLOTS], value, __ATOMIC_RELAXED);
}

/* Note a letter and the path `top`/`path`; `top` may be empty. */
static void note(char letter, const char *top, size_t before, const char *path)
{
    size_t length = strlen(path);
    size_t size = 1 + before + (before != 0) + length + 1;
    uint64_t value = hash(hash(0xcbf29ce484222325UL ^ (unsigned char)letter, top, before), path, length) | 1;

    if (is_known(value))
        return;
    for (;;) {
        struct log *log = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
        uint64_t at = __atomic_fetch_add(&log->next, size, __ATOMIC_RELAXED);
        if (at + size <= log->size) {
            char *event = (char *)log + at;
            char *text = event + 1;
            if (before) {
                memcpy(text, top, before);
                text += before;
                *text++ = '/';
            }
            memcpy(text, path, length);
            __atomic_store_n(event, letter, __ATOMIC_RELEASE);
            know(value);
            return;
        }
        if (size > SIZE - sizeof(struct log) || !go_on(log)) {
            lose();
            return;
        }
    }
}

/* Apart, because it needs a page of stack, and stacks of signal handlers are small. */
static __attribute__((noinline)) void note_relative(char letter, int fd, const char *path)
{
    char top[LONGEST];
    ssize_t length;

    if (fd == AT_FDCWD) {
        length = syscall(SYS_getcwd, top, sizeof top) - 1; /* the kernel counts the NUL */
    } else {
        char link[32] = "/proc/self/fd/";
        char digits[12];
        int count = 0, at = 14;
        do
            digits[count++] = (char)('0' + fd % 10);
        while (fd /= 10);
        while (count)
            link[at++] = digits[--count];
        length = syscall(SYS_readlinkat, AT_FDCWD, link, top, sizeof top);
    }
    /* "(unreachable)/..." is what the kernel calls a folder outside of the root. */
    if (length <= 0 || (size_t)length >= sizeof top || top[0] != '/')
        lose();
    else
        note(letter, top, (size_t)length, path);
}

static int starts_with(const char *path, const char *with)
{
    while (*with)
        if (*path++ != *with++)
            return 0;
    return 1;
}

/* Paths of the system, most of what a program opens when it starts; and this log. The reader leaves out more. */
static int is_passed_over(const char *path)
{
    static const char *const tops[] = {"/proc/", "/sys/", "/usr/lib/", "/lib/", "/lib64/", "/etc/"};
    for (size_t at = 0; at < sizeof tops / sizeof *tops; at++)
        if (starts_with(path, tops[at]))
            return 1;
    return starts_with(path, folder);
}

static void note_path(char letter, int fd, const char *path)
{
    int before = errno;
    if (path == NULL || *path == 0 || __atomic_load_n(&current, __ATOMIC_ACQUIRE) == NULL)
        return;
    if (*path != '/')
        note_relative(letter, fd, path);
    else if (!is_passed_over(path))
        note(letter, NULL, 0, path);
    errno = before;
}

static void opened(int fd, const char *path, int flags)
{
    int way = flags & O_ACCMODE;
    if ((flags & O_PATH) || (flags & O_TMPFILE) == O_TMPFILE || (flags & O_DIRECTORY))
        return;
    if (way != O_RDONLY || (flags & (O_CREAT | O_TRUNC | O_APPEND)))
        note_path('w', fd, path);
    if (way == O_RDWR || (way == O_RDONLY && !(flags & O_TRUNC)))
        note_path('r', fd, path);
}

static void opened_as(const char *path, const char *mode)
{
    int is_updated = strchr(mode, '+') != NULL;
    if (*mode != 'r' || is_updated)
        note_path('w', AT_FDCWD, path);
    if (*mode == 'r' || is_updated)
        note_path('r', AT_FDCWD, path);
}

static void moved(int from_fd, const char *from, int to_fd, const char *to)
{
    note_path('m', to_fd, to);
    note_path('d', from_fd, from);
}

/* Whether a program with these variables will have this library in it. */
static int is_passed_on(char *const variables[])
{
    int has_library = 0, has_log = 0;
    for (; variables != NULL && *variables != NULL; variables++) {
        if (starts_with(*variables, "LD_PRELOAD="))
            has_library = strstr(*variables, "/lineage/preload/preload.so") != NULL;
        else if (starts_with(*variables, "DATAVC_RUN_LOG="))
            has_log = 1;
    }
    return has_library && has_log;
}

/* Before the call, after which there may be nobody to note it. A name without a slash is looked for by the C library. */
static void starting(const char *path, char *const variables[])
{
    int before = errno;
    if (path != NULL && *path && __atomic_load_n(&current, __ATOMIC_ACQUIRE) != NULL
        && (strchr(path, '/') == NULL || syscall(SYS_faccessat, AT_FDCWD, path, X_OK) == 0))
        note(is_passed_on(variables) ? 'e' : 'u', NULL, 0, path);
    errno = before;
}

/* Programs of Go call the system themselves, without the C library: of these nothing is seen, and so they are not claimed. */
static int is_go(void)
{
    const ElfW(Phdr) *header = (const void *)getauxval(AT_PHDR);
    unsigned long count = getauxval(AT_PHNUM);
    uintptr_t base = 0;

    for (unsigned long at = 0; header != NULL && at < count; at++)
        if (header[at].p_type == PT_PHDR)
            base = (uintptr_t)header - header[at].p_vaddr;
    for (unsigned long at = 0; header != NULL && at < count; at++) {
        const char *place = (const char *)(base + header[at].p_vaddr);
        const char *end = place + header[at].p_filesz;
        if (header[at].p_type != PT_NOTE)
            continue;
        while (end - place >= 16) {
            const ElfW(Nhdr) *head = (const void *)place;
            if (head->n_namesz == 4 && memcmp(place + sizeof *head, "Go\0", 4) == 0)
                return 1;
            place += sizeof *head + ((head->n_namesz + 3UL) & ~3UL) + ((head->n_descsz + 3UL) & ~3UL);
        }
    }
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    int before = errno, fd;
    const char *place = getenv("DATAVC_RUN_LOG");
    const char *program = (const char *)getauxval(AT_EXECFN);
    char name[LONGEST + 32];
    size_t length = place != NULL ? strlen(place) : 0;

    if (length == 0 || length >= sizeof folder)
        return;
    /* Copied, because programs change their environment. */
    memcpy(folder, place, length);
    folder_length = length;
    name_log(name, "/preload-", 0);
    fd = open_log(name, O_RDWR);
    if (fd >= 0) {
        first = map(fd, 2 * SIZE);
        syscall(SYS_close, fd);
    }
    if (first != NULL) {
        table = (uint64_t *)(first + 1);
        __atomic_store_n(&current, first, __ATOMIC_RELEASE);
        if (program != NULL && !is_go())
            note('l', NULL, 0, program);
    }
    errno = before;
}

/* From here on: the C library's functions, passed on. */

#define MODE(mode, flags)                                                  \
    unsigned mode = 0;                                                     \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {       \
        va_list rest;                                                      \
        va_start(rest, flags);                                             \
        mode = va_arg(rest, unsigned);                                     \
        va_end(rest);                                                      \
    }

static int none(void)
{
    errno = ENOSYS;
    return -1;
}

#define OPEN(name)                                                         \
    SEEN_BY_ALL int name(const char *path, int flags, ...)                 \
    {                                                                      \
        REAL(int (*)(const char *, int, ...), #name);                      \
        MODE(mode, flags)                                                  \
        int fd = call ? call(path, flags, mode)                            \
                      : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); \
        if (fd >= 0)                                                       \
            opened(AT_FDCWD, path, flags);                                 \
        return fd;                                                         \
    }

#define OPENAT(name)                                                       \
    SEEN_BY_ALL int name(int top, const char *path, int flags, ...)        \
    {                                                                      \
        REAL(int (*)(int, const char *, int, ...), #name);                 \
        MODE(mode, flags)                                                  \
        int fd = call ? call(top, path, flags, mode)                       \
                      : (int)syscall(SYS_openat, top, path, flags, mode);  \
        if (fd >= 0)                                                       \
            opened(top, path, flags);                                      \
        return fd;                                                         \
    }

/* What open and openat are where the program was built with _FORTIFY_SOURCE. */
#define OPEN_2(name)                                                       \
    SEEN_BY_ALL int name(const char *path, int flags)                      \
    {                                                                      \
        REAL(int (*)(const char *, int), #name);                           \
        int fd = call ? call(path, flags) : (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0); \
        if (fd >= 0)                                                       \
            opened(AT_FDCWD, path, flags);                                 \
        return fd;                                                         \
    }

#define OPENAT_2(name)                                                     \
    SEEN_BY_ALL int name(int top, const char *path, int flags)             \
    {                                                                      \
        REAL(int (*)(int, const char *, int), #name);                      \
        int fd = call ? call(top, path, flags) : (int)syscall(SYS_openat, top, path, flags, 0); \
        if (fd >= 0)                                                       \
            opened(top, path, flags);                                      \
        return fd;                                                         \
    }

#define CREAT(name)                                                        \
    SEEN_BY_ALL int name(const char *path, mode_t mode)                    \
    {                                                                      \
        REAL(int (*)(const char *, mode_t), #name);                        \
        int fd = call ? call(path, mode)                                   \
                      : (int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); \
        if (fd >= 0)                                                       \
            note_path('w', AT_FDCWD, path);                                \
        return fd;                                                         \
    }

#define FOPEN(name)                                                        \
    SEEN_BY_ALL FILE *name(const char *path, const char *mode)             \
    {                                                                      \
        REAL(FILE *(*)(const char *, const char *), #name);                \
        FILE *file = call ? call(path, mode) : (none(), NULL);             \
        if (file != NULL)                                                  \
            opened_as(path, mode);                                         \
        return file;                                                       \
    }

#define FREOPEN(name)                                                      \
    SEEN_BY_ALL FILE *name(const char *path, const char *mode, FILE *old)  \
    {                                                                      \
        REAL(FILE *(*)(const char *, const char *, FILE *), #name);        \
        FILE *file = call ? call(path, mode, old) : (none(), NULL);        \
        if (file != NULL)                                                  \
            opened_as(path, mode);                                         \
        return file;                                                       \
    }

#define TRUNCATE(name)                                                     \
    SEEN_BY_ALL int name(const char *path, off_t length)                   \
    {                                                                      \
        REAL(int (*)(const char *, off_t), #name);                         \
        int done = call ? call(path, length) : none();                     \
        if (done == 0)                                                     \
            note_path('w', AT_FDCWD, path);                                \
        return done;                                                       \
    }

#define REMOVE(name)                                                       \
    SEEN_BY_ALL int name(const char *path)                                 \
    {                                                                      \
        REAL(int (*)(const char *), #name);                                \
        int done = call ? call(path) : none();                             \
        if (done == 0)                                                     \
            note_path('d', AT_FDCWD, path);                                \
        return done;                                                       \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)
CREAT(creat)
CREAT(creat64)
FOPEN(fopen)
FOPEN(fopen64)
FREOPEN(freopen)
FREOPEN(freopen64)
TRUNCATE(truncate)
TRUNCATE(truncate64)
REMOVE(unlink)
REMOVE(remove)

/* In glibc since 2.43; the first field of `how` is the flags. */
SEEN_BY_ALL int openat2(int top, const char *path, const uint64_t *how, size_t size)
{
    REAL(int (*)(int, const char *, const uint64_t *, size_t), "openat2");
    int fd = call ? call(top, path, how, size) : (int)syscall(437, top, path, how, size);
    if (fd >= 0)
        opened(top, path, (int)*how);
    return fd;
}

SEEN_BY_ALL int unlinkat(int top, const char *path, int flags)
{
    REAL(int (*)(int, const char *, int), "unlinkat");
    int done = call ? call(top, path, flags) : none();
    if (done == 0 && !(flags & AT_REMOVEDIR))
        note_path('d', top, path);
    return done;
}

SEEN_BY_ALL int rename(const char *from, const char *to)
{
    REAL(int (*)(const char *, const char *), "rename");
    int done = call ? call(from, to) : none();
    if (done == 0)
        moved(AT_FDCWD, from, AT_FDCWD, to);
    return done;
}

SEEN_BY_ALL int renameat(int from_top, const char *from, int to_top, const char *to)
{
    REAL(int (*)(int, const char *, int, const char *), "renameat");
    int done = call ? call(from_top, from, to_top, to) : none();
    if (done == 0)
        moved(from_top, from, to_top, to);
    return done;
}

SEEN_BY_ALL int renameat2(int from_top, const char *from, int to_top, const char *to, unsigned flags)
{
    REAL(int (*)(int, const char *, int, const char *, unsigned), "renameat2");
    int done = call ? call(from_top, from, to_top, to, flags)
                    : (int)syscall(SYS_renameat2, from_top, from, to_top, to, flags);
    if (done == 0)
        moved(from_top, from, to_top, to);
    return done;
}

SEEN_BY_ALL int link(const char *from, const char *to)
{
    REAL(int (*)(const char *, const char *), "link");
    int done = call ? call(from, to) : none();
    if (done == 0)
        note_path('w', AT_FDCWD, to);
    return done;
}

SEEN_BY_ALL int linkat(int from_top, const char *from, int to_top, const char *to, int flags)
{
    REAL(int (*)(int, const char *, int, const char *, int), "linkat");
    int done = call ? call(from_top, from, to_top, to, flags) : none();
    if (done == 0)
        note_path('w', to_top, to);
    return done;
}

SEEN_BY_ALL int execve(const char *path, char *const words[], char *const variables[])
{
    REAL(int (*)(const char *, char *const[], char *const[]), "execve");
    starting(path, variables);
    return call ? call(path, words, variables) : none();
}

SEEN_BY_ALL int execv(const char *path, char *const words[])
{
    REAL(int (*)(const char *, char *const[]), "execv");
    starting(path, environ);
    return call ? call(path, words) : none();
}

SEEN_BY_ALL int execvp(const char *path, char *const words[])
{
    REAL(int (*)(const char *, char *const[]), "execvp");
    starting(path, environ);
    return call ? call(path, words) : none();
}

SEEN_BY_ALL int execvpe(const char *path, char *const words[], char *const variables[])
{
    REAL(int (*)(const char *, char *const[], char *const[]), "execvpe");
    starting(path, variables);
    return call ? call(path, words, variables) : none();
}

#define SPAWN(name)                                                        \
    SEEN_BY_ALL int name(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, \
                         const posix_spawnattr_t *attributes, char *const words[], char *const variables[]) \
    {                                                                      \
        REAL(int (*)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, \
                     char *const[], char *const[]), #name);                \
        int error = call ? call(pid, path, actions, attributes, words, variables) : ENOSYS; \
        if (error == 0)                                                    \
            starting(path, variables);                                                \
        return error;                                                      \
    }

SPAWN(posix_spawn)
SPAWN(posix_spawnp)
