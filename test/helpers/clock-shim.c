/*
 * Moves the wall clock of a process (LD_PRELOAD): what clock_gettime, gettimeofday and time say of CLOCK_REALTIME is shifted by the
 * nanoseconds that the first 8 bytes of a control file hold, at any moment. Clocks that only count are left alone. clock-shim.ts writes
 * the file. Without one nothing is shifted.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NANOS 1000000000ll

static volatile int64_t *control;

__attribute__((constructor)) static void start(void) {
  const char *name = getenv("CLOCK_SHIM_CONTROL");
  if (name == NULL) return;
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *memory = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (memory != MAP_FAILED) control = memory;
}

static void shift(struct timespec *at) {
  if (control == NULL) return;
  int64_t nanos = __atomic_load_n(control, __ATOMIC_RELAXED);
  at->tv_sec += nanos / NANOS;
  at->tv_nsec += nanos % NANOS;
  if (at->tv_nsec >= NANOS) at->tv_sec++, at->tv_nsec -= NANOS;
  if (at->tv_nsec < 0) at->tv_sec--, at->tv_nsec += NANOS;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int result = (int)syscall(SYS_clock_gettime, clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(at);
  return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (at != NULL) *at = now.tv_sec;
  return now.tv_sec;
}
