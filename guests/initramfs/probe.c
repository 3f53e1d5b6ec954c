/*
 * What a shell cannot find out about the machine, as `fact:` lines for the system tests.
 *
 * `probe sleep` tells how many TSC ticks the shortest of three sleeps of one second takes. `probe ipi` makes every CPU
 * interrupt its neighbour: two processes pinned to the two CPUs pass a byte to and fro.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { ROUNDS = 50 };

static void probe_sleep(void)
{
	unsigned long long best = ~0ull;

	/* A sleep is never too short, but on a busy machine it may be too long: the best of three. */
	for (int i = 0; i < 3; i++) {
		struct timespec second = {.tv_sec = 1};
		unsigned long long start = __rdtsc(), ticks;

		nanosleep(&second, NULL);
		ticks = __rdtsc() - start;
		best = ticks < best ? ticks : best;
	}
	printf("fact: sleep_tsc=%llu\n", best);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void bounce(int cpu, int from, int to, int starts)
{
	char byte = 0;

	pin(cpu);
	for (int i = 0; i < ROUNDS; i++) {
		if (starts && write(to, &byte, 1) != 1) {
			return;
		}
		if (read(from, &byte, 1) != 1) {
			return;
		}
		if (!starts && write(to, &byte, 1) != 1) {
			return;
		}
	}
}

static void probe_ipi(void)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	int there[2], back[2];

	for (int cpu = 0; cpus > 1 && cpu < cpus; cpu++) {
		if (pipe(there) || pipe(back)) {
			return;
		}
		if (fork() == 0) {
			bounce((cpu + 1) % cpus, there[0], back[1], 0);
			_exit(0);
		}
		bounce(cpu, back[0], there[1], 1);
		wait(NULL);
		close(there[0]);
		close(there[1]);
		close(back[0]);
		close(back[1]);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "sleep") == 0) {
		probe_sleep();
	} else if (argc == 2 && strcmp(argv[1], "ipi") == 0) {
		probe_ipi();
	} else {
		fprintf(stderr, "usage: probe sleep|ipi\n");
		return 2;
	}
	return 0;
}
