/*
 * The TSC check: see smp.h. Called by smp.c.
 *
 * Two CPUs take turns under a lock; each reads its TSC there and looks whether it is behind what
 * the other one read before. If time never went backwards, a guest cannot see that its vCPUs' TSCs
 * differ.
 */
#include "arch/x86_64/asm.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/smp.h"
#include "drivers/tsc.h"
#include "hv/host.h"
#include "hv/lib/lock.h"
#include "hv/log.h"

enum { RACE_US = 2000, LEAST_ROUNDS = 20, PATIENCE_US = 2000000 };

bool host_tsc_reliable;

static _Atomic unsigned turn;	  /* index of the CPU that races the boot CPU; 0: none yet */
static _Atomic unsigned meetings; /* CPUs that have come to a meeting, over all pairs */
static struct lock lock;
static uint64_t last, worst; /* under the lock */
static bool missed;	     /* boot CPU: somebody did not come */

static uint64_t tsc_in_order(void)
{
	/* Not before the lock is ours; on some of AMD's CPUs only MFENCE makes RDTSC wait. */
	__asm__ volatile("mfence; lfence" : : : "memory");
	return rdtsc();
}

static void race(void)
{
	uint64_t start = rdtsc();
	uint64_t ticks = tsc_ticks(RACE_US);

	for (unsigned i = 0; i < LEAST_ROUNDS || rdtsc() - start < ticks; i++) {
		uint64_t now;

		lock_take(&lock);
		now = tsc_in_order();
		if (now < last && last - now > worst) {
			worst = last - now;
		}
		last = now;
		lock_drop(&lock);
	}
}

/* Returns when `all` have come, or false after a bound. */
static bool meet(unsigned all)
{
	uint64_t start = rdtsc();
	uint64_t ticks = tsc_ticks(PATIENCE_US);

	atomic_fetch_add(&meetings, 1);
	while (atomic_load(&meetings) < all) {
		if (rdtsc() - start > ticks) {
			return false;
		}
		pause();
	}
	return true;
}

/* Both start together and end together; a pair adds 4 to the meetings. */
static bool race_pair(unsigned cpu)
{
	if (!meet(4 * cpu - 2)) {
		return false;
	}
	race();
	return meet(4 * cpu);
}

void tsc_sync_follow(unsigned cpu)
{
	while (atomic_load(&turn) != cpu) {
		pause();
	}
	race_pair(cpu);
}

void tsc_sync_lead(unsigned cpu)
{
	last = 0;
	atomic_store(&turn, cpu);
	/* One that has missed a meeting leaves the count behind: nothing is known from then on. */
	missed = missed || !race_pair(cpu);
}

void tsc_sync_report(void)
{
	host_tsc_reliable = !missed && !worst;
	if (worst) {
		log_line("TSC: CPUs are up to %lu ticks apart", worst);
	} else if (missed) {
		log_line("TSC: a CPU did not take part in the check");
	}
	log_line("TSC: %s, %s", tsc_invariant() ? "invariant by CPUID" : "not invariant by CPUID",
		 host_tsc_reliable ? "runs together on all CPUs" : "not reliable");
}
