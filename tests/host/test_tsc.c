/*
 * The comparison of the CPUs' TSCs, with threads as CPUs, and what is made of it.
 */
#include "arch/x86_64/asm.h"
#include <pthread.h>

static __thread int64_t offset;
static uint32_t leaf_1_ecx, leaf_80000007_edx;

static uint64_t own_rdtsc(void)
{
	return rdtsc() + (uint64_t)offset;
}

static void own_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	(void)subleaf;
	out[0] = leaf == 0x80000000 ? 0x80000008 : 0;
	out[1] = 0;
	out[2] = leaf == 1 ? leaf_1_ecx : 0;
	out[3] = leaf == 0x80000007 ? leaf_80000007_edx : 0;
}

#define rdtsc		  own_rdtsc
#define host_cpuid	  own_cpuid
#define host_tsc_hz	  own_tsc_hz
#define host_tsc_reliable own_tsc_reliable
#include "drivers/tsc.c"

#include "arch/x86_64/tsc_sync.c"

#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

static void *follow(void *its_offset)
{
	offset = *(int64_t *)its_offset;
	tsc_sync_follow(1);
	return NULL;
}

static void compare(int64_t ahead)
{
	pthread_t other;

	own_tsc_hz = 400000000000; /* a race of some 0.3 s: on a busy host threads run in turns */
	turn = meetings = 0;
	worst = last = 0;
	missed = false;
	fake_log_reset();
	CHECK(!pthread_create(&other, NULL, follow, &ahead));
	tsc_sync_lead(1);
	tsc_sync_report();
	pthread_join(other, NULL);
}

/* The machine that runs the tests has TSCs that run together, or they could not be run. */
TEST(together)
{
	compare(0);
	CHECK(own_tsc_reliable);
	CHECK(strstr(fake_log, "runs together on all CPUs"));
}

TEST(apart_either_way)
{
	compare(-10000000000);
	CHECK(!own_tsc_reliable);
	CHECK(strstr(fake_log, "TSC: CPUs are up to "));
	compare(10000000000);
	CHECK(!own_tsc_reliable);
}

/* A CPU that never comes: a bounded wait, and no trust. */
TEST(absent)
{
	own_tsc_hz = 2000000000 / 100; /* patience ends sooner */
	turn = meetings = 0;
	worst = 0;
	missed = false;
	fake_log_reset();
	tsc_sync_lead(1);
	tsc_sync_report();
	CHECK(!own_tsc_reliable);
	CHECK(strstr(fake_log, "TSC: a CPU did not take part in the check"));
}

TEST(problems)
{
	own_tsc_reliable = true;
	leaf_80000007_edx = 1 << 8;
	CHECK(!tsc_problem());
	leaf_80000007_edx = 0;
	CHECK(!strncmp(tsc_problem(), "the TSC is not invariant", 24));
	leaf_1_ecx = 1u << 31; /* in a virtual machine the comparison has to do */
	CHECK(!tsc_problem());
	own_tsc_reliable = false;
	CHECK(!strncmp(tsc_problem(), "the TSCs of the CPUs do not run together", 40));
}
