/*
 * The VT-d driver on a model of a unit: faults, how they are told and kept quiet.
 */
#include "tests/host/vtd_model.h"

static void fault(unsigned i, uint64_t high, uint64_t low)
{
	set(FAULTS + 16 * i, 8, low);
	set(FAULTS + 16 * i + 8, 8, high | BIT(63));
	set(VTD_FAULT_STATUS, 4, 2 | i << 8);
}

TEST(faults)
{
	struct iommu_fault f;

	start(CAP, EXT);
	CHECK(!iommu->take_fault(&f));
	fault(1, (5ull << 32) | 0x10, 0x12345fff);
	CHECK(iommu->take_fault(&f));
	CHECK(f.bdf == 0x10 && !f.owned);
	CHECK_EQ(f.address, 0x12345000);
	CHECK(f.write);
	CHECK_STR(f.reason, "a write that the domain does not permit");
	CHECK_EQ(reg(FAULTS + 28, 4) >> 31, 0);
	CHECK(iommu->attach(0x10, domain_of(&rig_guest), &why));
	fault(0, BIT(62) | (6ull << 32) | 0x10, 0x1000);
	CHECK(iommu->take_fault(&f));
	CHECK(!f.write && f.bdf == 0x10 && f.owned);
	fault(0, (0x22ull << 32) | 0x18, 0x2005ull << 48);
	CHECK(iommu->take_fault(&f));
	CHECK_EQ(f.address, 0x2005);
	fault(0, (0xffull << 32) | 0x18, 0x1000);
	CHECK(iommu->take_fault(&f));
	CHECK_STR(f.reason, "a reason that is not known");
	set(VTD_FAULT_STATUS, 4, 3); /* overflowed, but the records are empty by now */
	CHECK(!iommu->take_fault(&f));
	CHECK_EQ(reg(VTD_FAULT_STATUS, 4), 0);
}

/* Completions of invalidations that were never asked for: any device can send them. */
TEST(what_keeps_faults_from_being_told_is_cleared)
{
	struct iommu_fault f;

	start(CAP, EXT);
	set(VTD_FAULT_STATUS, 4, VTD_FAULT_COMPLETION | VTD_FAULT_TIMEOUT | VTD_FAULT_QUEUE);
	CHECK(!iommu->take_fault(&f));
	CHECK_EQ(reg(VTD_FAULT_STATUS, 4), VTD_FAULT_QUEUE); /* its own callers look at that */
	set(VTD_FAULT_STATUS, 4, VTD_FAULT_COMPLETION);
	fault(0, (5ull << 32) | 0x10, 0x12345000);
	set(VTD_FAULT_STATUS, 4, reg(VTD_FAULT_STATUS, 4) | VTD_FAULT_COMPLETION);
	CHECK(iommu->take_fault(&f));
	CHECK_EQ(reg(VTD_FAULT_STATUS, 4) & VTD_FAULT_COMPLETION, 0);
}

TEST(quiet_until_attached_again)
{
	struct iommu_domain *d;

	start(CAP, EXT);
	d = domain_of(&rig_guest);
	iommu->quiet(0x300); /* nobody's; its bus has no table yet */
	CHECK_EQ(context(0x300)->low, 2);
	CHECK_EQ(told.contexts, 2);
	CHECK_EQ(walk(0x300, 0), 0);
	CHECK(iommu->attach(0x10, d, &why));
	iommu->quiet(0x10);
	CHECK_EQ(context(0x10)->low & PAGE_MASK, 3);
	CHECK(iommu->attach(0x10, NULL, &why) && iommu->attach(0x10, d, &why));
	CHECK_EQ(context(0x10)->low & PAGE_MASK, 1);
	iommu->quiet(0x18); /* covered by no unit */
	CHECK_EQ(context(0x18)->low, 0);
}

TEST(fault_interrupt)
{
	start(CAP, EXT);
	iommu->fault_interrupt(3, 0xe2);
	CHECK_EQ(reg(VTD_FAULT_DATA, 4), 0xe2);
	CHECK_EQ(reg(VTD_FAULT_ADDRESS, 4), 0xfee03000);
	CHECK_EQ(reg(VTD_FAULT_CONTROL, 4), 0);
	iommu->fault_interrupt(0, 0);
	CHECK_EQ(reg(VTD_FAULT_CONTROL, 4), VTD_FAULT_MASKED);
}
