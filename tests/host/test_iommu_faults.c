/* What follows faults of the IOMMU: hv/iommu_faults.c. */
#include "hv/iommu_faults.h"
#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

enum { SECOND = 1000000000 };

static struct iommu_faults faults;
static uint64_t now;

static void start(void)
{
	fake_host_reset();
	memset(&faults, 0, sizeof(faults));
	now = 5; /* less than a second: the TSC may begin anywhere */
}

static struct iommu_fault_verdict judge(uint16_t bdf, bool owned, bool interrupt)
{
	struct iommu_fault f = {.bdf = bdf, .owned = owned, .interrupt = interrupt};

	return iommu_faults_judge(&faults, &f, now);
}

TEST(eight_of_a_device_are_told_and_then_it_is_quiet)
{
	struct iommu_fault_verdict v;

	start();
	for (unsigned i = 1; i <= 20; i++) {
		v = judge(0x18, true, false);
		CHECK_EQ(v.told, i <= 8);
		CHECK_EQ(v.last, i == 8);
		CHECK_EQ(v.quiet, i >= 8);
		CHECK(!v.storm && !v.many);
		now += SECOND;
	}
	CHECK(judge(0x20, true, false).told);
	CHECK(judge(0x18, false, false).told); /* before a guest had it */
	now += 58ull * SECOND;		       /* and the one above */
	CHECK(!judge(0x18, true, false).told);
	now += 60ull * SECOND; /* it was still for so long */
	v = judge(0x18, true, false);
	CHECK(v.told && !v.quiet);
}

TEST(what_a_log_holds_is_no_storm)
{
	start();
	for (unsigned i = 0; i < 256 + 8; i++) {
		CHECK(!judge(0x18, true, false).storm);
	}
}

TEST(interrupts_of_a_life_before_do_not_count)
{
	start();
	for (unsigned i = 0; i < 8; i++) {
		CHECK(!judge(0x18, true, true).many);
		judge(0x20, true, true);
	}
	iommu_faults_forget(&faults, 0x18);
	CHECK(!judge(0x18, true, true).many);
	CHECK(judge(0x20, true, true).many);
}

TEST(faults_of_a_life_before_leave_room_to_tell_more)
{
	start();
	for (unsigned i = 0; i < 9; i++) {
		judge(0x18, true, false);
	}
	CHECK(!judge(0x18, true, false).told);
	iommu_faults_forget(&faults, 0x18);
	CHECK(judge(0x18, true, false).told);
	CHECK(!judge(0x18, true, false).quiet);
}

TEST(a_storm_is_of_one_second)
{
	start();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < (round ? 0 : 8) + 1023; i++) {
			CHECK(!judge(0x18, true, false).storm);
		}
		now += SECOND;
	}
	start();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < (round ? 0 : 8) + 1023; i++) {
			CHECK(!judge(0x18, true, false).storm);
		}
		CHECK(judge(0x18, true, false).storm); /* and again: none of them is for good */
	}
}

TEST(devices_in_one_storm)
{
	unsigned storms = 0;

	start();
	for (unsigned i = 0; i < 2 * (8 + 512); i++) {
		storms += judge(i & 1 ? 0x18 : 0x20, true, false).storm;
	}
	CHECK_EQ(storms, 1);
}

TEST(many_interrupt_requests_within_a_second)
{
	start();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 8; i++) {
			CHECK(!judge(0x18, true, true).many);
			CHECK(!judge(0x20, true, false).many); /* DMA is none of them */
		}
		now += SECOND;
	}
	for (unsigned i = 0; i < 8; i++) {
		CHECK(!judge(0x18, true, true).many);
	}
	CHECK(judge(0x18, true, true).many);
	CHECK(judge(0x18, true, true).many);
	CHECK(!judge(0x18, false, true).many);
	now += SECOND;
	CHECK(!judge(0x18, true, true).many); /* of the guest's next life */
}

TEST(more_devices_than_there_are_entries)
{
	struct iommu_fault_verdict v;

	start();
	for (unsigned i = 0; i < IOMMU_FAULTS_DEVICES; i++) {
		CHECK(judge((uint16_t)i, false, false).told);
	}
	v = judge(0x1000, true, true);
	CHECK(v.quiet && !v.told && !v.last && !v.many);
	for (unsigned i = 2; i < IOMMU_FAULTS_STORM; i++) {
		CHECK(!judge(0x1000, true, true).storm);
	}
	CHECK(judge(0x1000, true, true).storm);
	now += 60ull * SECOND; /* the others are still: one gives its place up */
	CHECK(judge(0x1000, true, true).told);
	CHECK_EQ(faults.devices, IOMMU_FAULTS_DEVICES);
}
