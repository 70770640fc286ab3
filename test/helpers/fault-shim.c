/*
 * Stands between a process and its files (LD_PRELOAD): counts the calls that write, sync, open, remove, rename, truncate, reserve or make
 * folders, and lets those fail, wait or end the process that the rules of a control file name. fault-shim.ts writes the rules and reads
 * the counts and the record; both know the layout below. Without a control file nothing is done.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 32
#define PATHS_MAX 4096
#define CALLS_MAX (1u << 18)
#define DESCRIPTORS_MAX 65536
#define PATH_BYTES 256
#define PART_BYTES 200
#define MAGIC 0x74726673u

enum { WRITE, SYNC, OPEN, CREATE, UNLINK, RENAME, TRUNCATE, ALLOCATE, MAKE_DIRECTORY, CLOSE };
enum { PASS, FAIL, SHORT, KILL };

/* 512 bytes. The counts are the process's, all else is the test's. */
struct rule {
  uint32_t call_mask;
  uint32_t action;
  int32_t error;
  uint32_t delay_ms;
  int64_t skip;
  /* Negative: for ever. */
  int64_t times;
  uint64_t bytes;
  char part[PART_BYTES];
  char without[PART_BYTES];
  uint64_t matched;
  uint64_t fired;
  char padding[56];
};

/* 32 bytes. */
struct call {
  uint32_t call;
  uint32_t path;
  /* Tells apart what was opened one after the other under one number or one path; 0 when the call is not by descriptor. */
  uint32_t opened;
  /* errno of a planted failure, else 0. */
  int32_t error;
  int64_t result;
  /* Not 0 once all other fields are there. */
  uint32_t complete;
  uint32_t rule;
};

struct control {
  uint32_t magic;
  /* Rules in force; set to 0 while they are changed. */
  uint32_t rules;
  uint32_t generation;
  uint32_t paths;
  uint32_t calls;
  uint32_t opened;
  uint32_t lock;
  char padding[228];
  /* Paths without it are not seen at all. */
  char under[PATH_BYTES];
  struct rule rule[RULES_MAX];
  char path[PATHS_MAX][PATH_BYTES];
  struct call call[CALLS_MAX];
};

_Static_assert(sizeof(struct rule) == 512, "layout of a rule");
_Static_assert(sizeof(struct call) == 32, "layout of a call");

static struct control *control;
/* Path number + 1, the number of the opening, whether writes sync what they write; 0: not watched. */
static struct { uint32_t path, opened, syncs; } descriptors[DESCRIPTORS_MAX];

__attribute__((constructor)) static void start(void) {
  const char *name = getenv("FAULT_SHIM_CONTROL");
  if (name == NULL) return;
  int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
  int fd = real_open(name, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *memory = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  int (*real_close)(int) = dlsym(RTLD_NEXT, "close");
  real_close(fd);
  if (memory != MAP_FAILED && ((struct control *)memory)->magic == MAGIC) control = memory;
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int is_watched(const char *path) { return control != NULL && path != NULL && strstr(path, control->under) != NULL; }

/* Number of a path, the same for the same path; PATHS_MAX - 1 for all that have no room. */
static uint32_t number_of(const char *path) {
  char cut[PATH_BYTES];
  snprintf(cut, sizeof cut, "%s", path);
  while (__atomic_exchange_n(&control->lock, 1, __ATOMIC_ACQUIRE) != 0) usleep(10);
  uint32_t at = 0;
  while (at < control->paths && strcmp(control->path[at], cut) != 0) at++;
  if (at == control->paths) {
    if (at == PATHS_MAX) at--;
    else {
      memcpy(control->path[at], cut, sizeof cut);
      control->paths++;
    }
  }
  __atomic_store_n(&control->lock, 0, __ATOMIC_RELEASE);
  return at;
}

static void record(int call, uint32_t path, uint32_t opened, int error, int64_t result, uint32_t rule) {
  uint32_t at = __atomic_fetch_add(&control->calls, 1, __ATOMIC_RELAXED);
  if (at >= CALLS_MAX) return;
  struct call *entry = &control->call[at];
  entry->call = call;
  entry->path = path;
  entry->opened = opened;
  entry->error = error;
  entry->result = result;
  entry->rule = rule;
  __atomic_store_n(&entry->complete, 1, __ATOMIC_RELEASE);
}

/* Waits, but not longer than the rules stay as they are. */
static void wait_ms(uint32_t delay_ms, uint32_t generation) {
  struct timespec slice = {0, 5 * 1000 * 1000};
  for (uint32_t waited = 0; waited < delay_ms; waited += 5) {
    if (__atomic_load_n(&control->generation, __ATOMIC_RELAXED) != generation) return;
    nanosleep(&slice, NULL);
  }
}

static int names(const struct rule *rule, const char *path) {
  if (path == NULL || strstr(path, rule->part) == NULL) return 0;
  return rule->without[0] == 0 || strstr(path, rule->without) == NULL;
}

/* What is to be done with a call, by the first rule that has its turn. All rules that name the call count it. */
struct verdict {
  int action, error;
  uint64_t bytes;
  uint32_t rule;
};

static struct verdict judge(int call, const char *path, const char *other) {
  struct verdict verdict = {PASS, 0, 0, 0};
  uint32_t generation = __atomic_load_n(&control->generation, __ATOMIC_RELAXED), delay_ms = 0;
  uint32_t count = __atomic_load_n(&control->rules, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < count; i++) {
    struct rule *rule = &control->rule[i];
    if ((rule->call_mask & (1u << call)) == 0 || !(names(rule, path) || names(rule, other))) continue;
    int64_t place = (int64_t)__atomic_fetch_add(&rule->matched, 1, __ATOMIC_RELAXED);
    int has_turn = place >= rule->skip && (rule->times < 0 || place - rule->skip < rule->times);
    if (!has_turn || verdict.rule != 0) continue;
    __atomic_fetch_add(&rule->fired, 1, __ATOMIC_RELAXED);
    verdict = (struct verdict){rule->action, rule->error, rule->bytes, i + 1};
    delay_ms = rule->delay_ms;
  }
  if (verdict.action == KILL) kill(getpid(), SIGKILL);
  if (delay_ms > 0) wait_ms(delay_ms, generation);
  return verdict;
}

static const char *path_of(int fd) {
  if (control == NULL || fd < 0 || fd >= DESCRIPTORS_MAX || descriptors[fd].path == 0) return NULL;
  return control->path[descriptors[fd].path - 1];
}

/* A call by descriptor that is not watched goes through untouched. */
#define BY_DESCRIPTOR(call, fd, failed, perform, perform_short) \
  const char *path = path_of(fd); \
  if (path == NULL) return perform; \
  uint32_t number = descriptors[fd].path - 1, opened = descriptors[fd].opened; \
  struct verdict verdict = judge(call, path, NULL); \
  if (verdict.action == FAIL) { \
    record(call, number, opened, verdict.error, -1, verdict.rule); \
    return failed; \
  } \
  int64_t result = verdict.action == SHORT ? (int64_t)(perform_short) : (int64_t)(perform); \
  int error = errno; \
  record(call, number, opened, 0, result, verdict.rule); \
  errno = error; \
  return call == WRITE ? synced(fd, path, result) : result

#define FAILED (errno = verdict.error, -1)

/* A write that syncs is a write and a sync: the second may fail when the first went well, as in the kernel. Another write has no sync. */
static int64_t synced(int fd, const char *path, int64_t written) {
  if (written <= 0 || !descriptors[fd].syncs) return written;
  uint32_t number = descriptors[fd].path - 1, opened = descriptors[fd].opened;
  struct verdict verdict = judge(SYNC, path, NULL);
  record(SYNC, number, opened, verdict.action == FAIL ? verdict.error : 0, verdict.action == FAIL ? -1 : 0, verdict.rule);
  if (verdict.action != FAIL) return written;
  errno = verdict.error;
  return -1;
}

static size_t least(size_t a, uint64_t b) { return b < a ? (size_t)b : a; }

ssize_t write(int fd, const void *data, size_t bytes) {
  REAL(write);
  BY_DESCRIPTOR(WRITE, fd, FAILED, real(fd, data, bytes), real(fd, data, least(bytes, verdict.bytes)));
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) {
  REAL(pwrite);
  BY_DESCRIPTOR(WRITE, fd, FAILED, real(fd, data, bytes, at), real(fd, data, least(bytes, verdict.bytes), at));
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at) {
  REAL(pwrite64);
  BY_DESCRIPTOR(WRITE, fd, FAILED, real(fd, data, bytes, at), real(fd, data, least(bytes, verdict.bytes), at));
}

/* The first `bytes` of the parts, as one write; what is left of a part is left out. */
static ssize_t write_short(int fd, const struct iovec *parts, int count, off64_t at, uint64_t bytes) {
  ssize_t done = 0;
  for (int i = 0; i < count && (uint64_t)done < bytes; i++) {
    size_t length = least(parts[i].iov_len, bytes - done);
    ssize_t (*real_at)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t (*real_on)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    ssize_t written = at < 0 ? real_on(fd, parts[i].iov_base, length) : real_at(fd, parts[i].iov_base, length, at + done);
    if (written < 0) return done > 0 ? done : -1;
    done += written;
    if ((size_t)written < length) break;
  }
  return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(writev);
  BY_DESCRIPTOR(WRITE, fd, FAILED, real(fd, parts, count), write_short(fd, parts, count, -1, verdict.bytes));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  REAL(pwritev);
  BY_DESCRIPTOR(WRITE, fd, FAILED, real(fd, parts, count, at), write_short(fd, parts, count, at, verdict.bytes));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  REAL(pwritev64);
  BY_DESCRIPTOR(WRITE, fd, FAILED, real(fd, parts, count, at), write_short(fd, parts, count, at, verdict.bytes));
}

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
  REAL(pwritev2);
  BY_DESCRIPTOR(WRITE, fd, FAILED, real(fd, parts, count, at, flags), write_short(fd, parts, count, at, verdict.bytes));
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags) {
  REAL(pwritev64v2);
  BY_DESCRIPTOR(WRITE, fd, FAILED, real(fd, parts, count, at, flags), write_short(fd, parts, count, at, verdict.bytes));
}

int fsync(int fd) {
  REAL(fsync);
  BY_DESCRIPTOR(SYNC, fd, FAILED, real(fd), real(fd));
}

int fdatasync(int fd) {
  REAL(fdatasync);
  BY_DESCRIPTOR(SYNC, fd, FAILED, real(fd), real(fd));
}

int sync_file_range(int fd, off64_t at, off64_t bytes, unsigned flags) {
  REAL(sync_file_range);
  BY_DESCRIPTOR(SYNC, fd, FAILED, real(fd, at, bytes, flags), real(fd, at, bytes, flags));
}

int ftruncate(int fd, off_t bytes) {
  REAL(ftruncate);
  BY_DESCRIPTOR(TRUNCATE, fd, FAILED, real(fd, bytes), real(fd, bytes));
}

int ftruncate64(int fd, off64_t bytes) {
  REAL(ftruncate64);
  BY_DESCRIPTOR(TRUNCATE, fd, FAILED, real(fd, bytes), real(fd, bytes));
}

int fallocate(int fd, int mode, off_t at, off_t bytes) {
  REAL(fallocate);
  BY_DESCRIPTOR(ALLOCATE, fd, FAILED, real(fd, mode, at, bytes), real(fd, mode, at, bytes));
}

int fallocate64(int fd, int mode, off64_t at, off64_t bytes) {
  REAL(fallocate64);
  BY_DESCRIPTOR(ALLOCATE, fd, FAILED, real(fd, mode, at, bytes), real(fd, mode, at, bytes));
}

/* These two return what the others leave in errno. */
int posix_fallocate(int fd, off_t at, off_t bytes) {
  REAL(posix_fallocate);
  BY_DESCRIPTOR(ALLOCATE, fd, verdict.error, real(fd, at, bytes), real(fd, at, bytes));
}

int posix_fallocate64(int fd, off64_t at, off64_t bytes) {
  REAL(posix_fallocate64);
  BY_DESCRIPTOR(ALLOCATE, fd, verdict.error, real(fd, at, bytes), real(fd, at, bytes));
}

/* Before the close itself: the number is given out again at once. */
static void note_close(int fd) {
  if (path_of(fd) == NULL) return;
  record(CLOSE, descriptors[fd].path - 1, descriptors[fd].opened, 0, 0, 0);
  descriptors[fd].path = 0;
}

int close(int fd) {
  REAL(close);
  note_close(fd);
  return real(fd);
}

/* libuv closes this way. */
long syscall(long number, ...) {
  REAL(syscall);
  long arguments[6];
  va_list rest;
  va_start(rest, number);
  for (int i = 0; i < 6; i++) arguments[i] = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_close) note_close((int)arguments[0]);
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

/* A path from the root, as far as it is known: relative ones are put behind the folder they are looked up in. */
static const char *absolute(int directory, const char *path, char *buffer, size_t bytes) {
  if (control == NULL || path == NULL || path[0] == '/') return path;
  char link[64], folder[PATH_BYTES];
  snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
  ssize_t length = readlink(link, folder, sizeof folder - 1);
  if (length < 0) return path;
  folder[length] = 0;
  if (snprintf(buffer, bytes, "%s/%s", folder, path) >= (int)bytes) buffer[bytes - 1] = 0;
  return buffer;
}

/* A call by path that is not watched goes through untouched. */
#define BY_PATH(call, directory, name, second_directory, second, perform) \
  char buffer[PATH_BYTES], second_buffer[PATH_BYTES]; \
  const char *path = absolute(directory, name, buffer, sizeof buffer); \
  const char *other = absolute(second_directory, second, second_buffer, sizeof second_buffer); \
  if (!is_watched(path) && !is_watched(other)) return perform; \
  struct verdict verdict = judge(call, path, other); \
  int result = verdict.action == FAIL ? FAILED : (perform); \
  int error = errno; \
  record(call, number_of(path), 0, verdict.action == FAIL ? error : 0, result, verdict.rule); \
  errno = error; \
  return result

int unlink(const char *name) {
  REAL(unlink);
  BY_PATH(UNLINK, AT_FDCWD, name, AT_FDCWD, NULL, real(name));
}

int unlinkat(int directory, const char *name, int flags) {
  REAL(unlinkat);
  BY_PATH(UNLINK, directory, name, AT_FDCWD, NULL, real(directory, name, flags));
}

int rmdir(const char *name) {
  REAL(rmdir);
  BY_PATH(UNLINK, AT_FDCWD, name, AT_FDCWD, NULL, real(name));
}

int rename(const char *from, const char *to) {
  REAL(rename);
  BY_PATH(RENAME, AT_FDCWD, from, AT_FDCWD, to, real(from, to));
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  REAL(renameat);
  BY_PATH(RENAME, from_directory, from, to_directory, to, real(from_directory, from, to_directory, to));
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
  REAL(renameat2);
  BY_PATH(RENAME, from_directory, from, to_directory, to, real(from_directory, from, to_directory, to, flags));
}

int truncate(const char *name, off_t bytes) {
  REAL(truncate);
  BY_PATH(TRUNCATE, AT_FDCWD, name, AT_FDCWD, NULL, real(name, bytes));
}

int truncate64(const char *name, off64_t bytes) {
  REAL(truncate64);
  BY_PATH(TRUNCATE, AT_FDCWD, name, AT_FDCWD, NULL, real(name, bytes));
}

int mkdir(const char *name, mode_t mode) {
  REAL(mkdir);
  BY_PATH(MAKE_DIRECTORY, AT_FDCWD, name, AT_FDCWD, NULL, real(name, mode));
}

int mkdirat(int directory, const char *name, mode_t mode) {
  REAL(mkdirat);
  BY_PATH(MAKE_DIRECTORY, directory, name, AT_FDCWD, NULL, real(directory, name, mode));
}

/* A number that is given out again gets its new path here. */
static void note_open(int fd, int call, const char *path, int flags, uint32_t rule) {
  int error = errno;
  uint32_t opened = __atomic_add_fetch(&control->opened, 1, __ATOMIC_RELAXED), number = number_of(path);
  if (fd >= 0 && fd < DESCRIPTORS_MAX) {
    descriptors[fd].opened = opened;
    descriptors[fd].syncs = (flags & O_DSYNC) != 0;
    __atomic_store_n(&descriptors[fd].path, number + 1, __ATOMIC_RELEASE);
  }
  record(call, number, opened, 0, fd, rule);
  errno = error;
}

#define BY_OPEN(directory, name, flags, perform) \
  char buffer[PATH_BYTES]; \
  const char *path = absolute(directory, name, buffer, sizeof buffer); \
  if (!is_watched(path)) return perform; \
  int call = ((flags) & O_CREAT) != 0 ? CREATE : OPEN; \
  struct verdict verdict = judge(call, path, NULL); \
  if (verdict.action == FAIL) { \
    record(call, number_of(path), 0, verdict.error, -1, verdict.rule); \
    errno = verdict.error; \
    return -1; \
  } \
  int fd = perform; \
  note_open(fd, call, path, flags, verdict.rule); \
  return fd

#define MODE_OF(flags) \
  mode_t mode = 0; \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

int open(const char *name, int flags, ...) {
  REAL(open);
  MODE_OF(flags);
  BY_OPEN(AT_FDCWD, name, flags, real(name, flags, mode));
}

int open64(const char *name, int flags, ...) {
  REAL(open64);
  MODE_OF(flags);
  BY_OPEN(AT_FDCWD, name, flags, real(name, flags, mode));
}

int openat(int directory, const char *name, int flags, ...) {
  REAL(openat);
  MODE_OF(flags);
  BY_OPEN(directory, name, flags, real(directory, name, flags, mode));
}

int openat64(int directory, const char *name, int flags, ...) {
  REAL(openat64);
  MODE_OF(flags);
  BY_OPEN(directory, name, flags, real(directory, name, flags, mode));
}

int creat(const char *name, mode_t mode) {
  REAL(creat);
  BY_OPEN(AT_FDCWD, name, O_CREAT, real(name, mode));
}

int creat64(const char *name, mode_t mode) {
  REAL(creat64);
  BY_OPEN(AT_FDCWD, name, O_CREAT, real(name, mode));
}
