/*
 * The VT-d driver on a model of a unit: what the unit reads from memory after each call, and what
 * it was told to forget.
 */
#include "hv/pci.h"
#include "tests/host/vtd_model.h"

TEST(formats)
{
	struct npt_format three = vtd_npt_format(CAP & ~BIT(10), EXT);
	struct npt_format small = vtd_npt_format(CAP & ~VTD_CAP_2M, EXT & ~VTD_EXT_SNOOP);
	struct npt_format deep = vtd_npt_format(field_put(VTD_CAP_WIDTHS, 8), EXT);
	struct iommu_domain d = {.npt = {.format = &three, .root = hpa(0x123000)}, .id = 7};
	struct vtd_pair e = vtd_context_entry(&d);

	CHECK_EQ(vtd_npt_format(CAP, EXT).levels, 4);
	CHECK_EQ(three.levels, 3);
	CHECK_EQ(deep.levels, 5);
	CHECK(small.small_leaves && !small.gib_leaves && !small.write_back);
	CHECK_EQ(vtd_npt_format(0, 0).levels, 0);
	CHECK_EQ(e.low, 0x123001);
	CHECK_EQ(e.high, 0x701);
	e = vtd_remap_entry(vtd_remap_source(0x1234, 0x1234), 0xab, 0x51, false, false);
	CHECK_EQ(e.low, 0xab0000510001);
	CHECK_EQ(e.high, 0x41234);
	e = vtd_remap_entry(0, 0x12345678, 0x51, true, true);
	CHECK_EQ(e.low, 0x1234567800510011);
	CHECK_EQ(vtd_remap_source(0x208, 0x200), 0x80202); /* by bus */
	CHECK_EQ(vtd_remap_source(0x408, 0x200), 0x80204);
	CHECK_EQ(vtd_remap_source(0x208, 0xf0), 0x400f0);
	CHECK_EQ(vtd_remap_source(0x208, 0x300), 0x40300); /* nonsense is taken at its word */
	CHECK_EQ(vtd_message_address(0), 0xfee00018);
	CHECK_EQ(vtd_message_address(0x8001), 0xfee0003c);
	CHECK_EQ(vtd_message_address(0x7fff), 0xfeeffff8);
	CHECK_EQ(vtd_pin_entry(0x8003, 0x30, true), 0x0007000000008830);
}

TEST(on)
{
	start(CAP, EXT);
	CHECK_EQ(reg(VTD_STATUS, 4),
		 VTD_TRANSLATE | VTD_SET_ROOT | VTD_QUEUE | VTD_REMAP | VTD_SET_REMAP);
	CHECK_EQ(told.contexts, 1);
	CHECK_EQ(told.iotlbs, 1);
	CHECK_EQ(told.remaps, 1);
	CHECK(iommu->remaps_interrupts());
	CHECK_EQ(told.remap & PAGE_MASK, 15); /* 2^16 entries, xAPIC */
	for (unsigned bdf = 0; bdf < 65536; bdf++) {
		CHECK(!walk((uint16_t)bdf, 0x1000));
	}
	CHECK_EQ(reg(VTD_FAULT_CONTROL, 4), VTD_FAULT_MASKED);
}

TEST(taken_over_without_a_gap)
{
	machine(CAP, EXT);
	set(VTD_STATUS, 4,
	    VTD_TRANSLATE | VTD_ADVANCED_LOG | VTD_QUEUE | VTD_REMAP | VTD_COMPATIBILITY);
	set(VTD_QUEUE_HEAD, 8, 0x40);
	set(VTD_QUEUE_TAIL, 8, 0x40);
	set(VTD_PROTECTED, 4, 0x80000001);
	set(VTD_FAULT_STATUS, 4, 3);
	set(FAULTS + 12, 4, 0x80000000);
	CHECK(iommu_probe(&rig_machine, &why));
	CHECK(iommu->enable(&why));
	CHECK_STR(why.text, "");
	CHECK_EQ(told.gaps, 0);
	CHECK(!(reg(VTD_STATUS, 4) & (VTD_COMPATIBILITY | VTD_ADVANCED_LOG)));
	CHECK_EQ(reg(VTD_PROTECTED, 4), 0);
	CHECK_EQ(reg(FAULTS + 12, 4), 0);
	CHECK(told.root != 0 && told.contexts == 1);
}

/* A table of scalable mode cannot become one of legacy mode while the unit reads it. */
TEST(scalable_mode_is_turned_off_first)
{
	machine(CAP, EXT);
	set(VTD_STATUS, 4, VTD_TRANSLATE);
	set(VTD_ROOT_TABLE, 8, 0x1000 | 1 << 10);
	CHECK(iommu_probe(&rig_machine, &why));
	CHECK(iommu->enable(&why));
	CHECK_EQ(told.gaps, 1);
	CHECK_EQ(told.root & PAGE_MASK, 0);
	CHECK(reg(VTD_STATUS, 4) & VTD_TRANSLATE);
}

TEST(firmware_queue_that_never_ends)
{
	machine(CAP, EXT);
	set(VTD_STATUS, 4, VTD_QUEUE);
	set(VTD_QUEUE_TAIL, 8, 0x40);
	CHECK(iommu_probe(&rig_machine, &why));
	CHECK(!iommu->enable(&why));
	CHECK_STR(why.text, "the VT-d unit at 0xfed90000 does not stop firmware's invalidation "
			    "queue; `iommu=off` on Mullion's command line starts without it");
}

TEST(units_that_cannot_be_used)
{
	machine(UINT64_MAX, EXT);
	CHECK(!iommu_probe(&rig_machine, &why));
	CHECK(strstr(why.text, "does not answer"));
	CHECK(!iommu);
	machine(CAP & ~VTD_CAP_WIDTHS, EXT);
	CHECK(!iommu_probe(&rig_machine, &why));
	CHECK(strstr(why.text, "no second-level translation"));
	machine(CAP & ~VTD_CAP_DOMAINS, EXT);
	CHECK(!iommu_probe(&rig_machine, &why));
	CHECK(strstr(why.text, "too few domains"));
	machine(CAP, EXT);
	rig_table[9]++;
	CHECK(!iommu_probe(&rig_machine, &why));
	CHECK(strstr(why.text, "checksum"));
	machine(CAP, EXT);
	rig_table[56 + 5] = 0x10; /* registers at 1 << 44 */
	rig_seal();
	CHECK(!iommu_probe(&rig_machine, &why));
	CHECK(strstr(why.text, "is beyond this CPU's addresses"));
	machine(CAP, EXT);
	CHECK(iommu_probe(&rig_machine, &why));
	told.dead = true;
	CHECK(!iommu->enable(&why));
	CHECK(strstr(why.text, "does not start its invalidation queue"));
}

TEST(no_table_no_iommu)
{
	machine(CAP, EXT);
	rig_acpi.tables = 0;
	CHECK(!iommu_probe(&rig_machine, &why));
	CHECK_STR(why.text, "");
	CHECK(!iommu);
}

TEST(domain_is_the_guests_ram_and_nothing_else)
{
	struct iommu_domain *d;

	start(CAP, EXT);
	d = domain_of(&rig_guest);
	CHECK(iommu->attach(0x10, d, &why));
	CHECK_EQ(walk(0x10, 0), RIG_RAM + 1);
	CHECK_EQ(walk(0x10, 0x9f000), RIG_RAM + 0x9f001);
	CHECK_EQ(walk(0x10, 0xa0000), 0);
	CHECK_EQ(walk(0x10, 0xc0000), RIG_RAM + 0xc0001);
	CHECK_EQ(walk(0x10, MIB(16) - 0x1000), RIG_RAM + MIB(16) - 0xfff);
	CHECK_EQ(walk(0x10, MIB(16)), 0);
	CHECK_EQ(walk(0x10, 0xfd000000), 0); /* a device's registers */
	CHECK_EQ(walk(0x10, RIG_RAM), 0);
	CHECK_EQ(walk(0x18, 0), 0);
	CHECK(told.domains == BIT(1) && told.contexts == 2);
}

TEST(from_one_domain_to_another_and_to_none)
{
	struct iommu_domain *d, *other;

	start(CAP, EXT);
	d = domain_of(&rig_guest);
	other = domain_of(&rig_other);
	CHECK(iommu->attach(0x10, d, &why));
	CHECK(iommu->attach(0x10, other, &why));
	CHECK_EQ(told.domains, BIT(1) | BIT(2));
	CHECK_EQ(walk(0x10, 0x1000), RIG_OTHER + 0x1001);
	CHECK_EQ(walk(0x10, MIB(8)), 0);
	told.domains = 0;
	CHECK(iommu->attach(0x10, NULL, &why));
	CHECK_EQ(told.domains, BIT(2));
	CHECK_EQ(walk(0x10, 0x1000), 0);
	CHECK(iommu->attach(0x18, NULL, &why)); /* was never attached */
}

TEST(which_devices)
{
	struct iommu_domain *d;

	start(CAP, EXT);
	d = domain_of(&rig_other);
	CHECK(!iommu->attach(0x18, d, &why));
	CHECK_STR(why.text, "no VT-d unit covers device 00:03.0");
	CHECK(!iommu->attach(0x400, d, &why));
	CHECK(iommu->attach(0xe0, d, &why));  /* the bridge itself */
	CHECK(iommu->attach(0x3ff, d, &why)); /* behind it */
}

TEST(unit_that_includes_all)
{
	struct iommu_domain *d;

	machine(CAP, EXT);
	rig_table[48 + 4] = 1;
	rig_seal();
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	d = domain_of(&rig_other);
	CHECK(iommu->attach(0xff18, d, &why));
	CHECK_EQ(walk(0xff18, 0), RIG_OTHER + 1);
}

TEST(reserved_regions)
{
	struct iommu_domain *d;

	start(CAP, EXT);
	d = domain_of(&rig_guest);
	CHECK(iommu->attach(0x10, d, &why));
	CHECK_EQ(walk(0x10, 0x7b001000), 0); /* not its own */
	CHECK(iommu->attach(0x200, d, &why));
	/* 1:1, and the whole domain has it now. */
	CHECK_EQ(walk(0x200, 0x7b001000), 0x7b001001);
	CHECK_EQ(walk(0x200, 0x7b002000), 0x7b002001);
	CHECK_EQ(walk(0x200, 0x7b000000), 0);
	CHECK_EQ(walk(0x200, 0x7b003000), 0);
	CHECK(iommu->attach(0x200, NULL, &why) && iommu->attach(0x200, d, &why));

	machine(CAP, EXT); /* a region in RAM: a guest could own it */
	put_le64(rig_table + 88 + 8, 0x5f000000);
	put_le64(rig_table + 88 + 16, 0x5f000fff);
	rig_seal();
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	d = domain_of(&rig_guest);
	CHECK(!iommu->attach(0x200, d, &why));
	CHECK_STR(why.text, "firmware reserved 0x5f000000-0x5f000fff for device 02:00.0, but there "
			    "is RAM");
	CHECK_EQ(walk(0x200, 0x1000), 0);

	machine(CAP, EXT); /* a region where the guest has RAM */
	put_le64(rig_table + 88 + 8, 0xe0000);
	put_le64(rig_table + 88 + 16, 0xeffff);
	rig_seal();
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	d = domain_of(&rig_guest);
	CHECK(!iommu->attach(0x200, d, &why));
	CHECK(strstr(why.text, "where the guest has memory"));
}

/* The picture of a graphics device, before a partition has it or where none does. */
TEST(what_firmware_reserved_is_reached_from_the_start)
{
	struct iommu_domain *d;

	start(CAP, EXT);
	CHECK_EQ(walk(0x200, 0x7b001000), 0x7b001001);
	CHECK_EQ(walk(0x200, 0x7b003000), 0);
	CHECK_EQ(walk(0x200, 0x1000), 0);
	CHECK_EQ(walk(0xe0, 0x7b001000), 0); /* the bridge above it */
	CHECK(!iommu_owned(0x200));
	d = domain_of(&rig_other);
	CHECK(iommu->attach(0x200, d, &why));
	CHECK_EQ(walk(0x200, 0x1000), RIG_OTHER + 0x1001);
	CHECK(iommu->attach(0x200, NULL, &why));
	CHECK_EQ(walk(0x200, 0x7b001000), 0);

	machine(CAP, EXT); /* a region in RAM is nobody's to give */
	put_le64(rig_table + 88 + 8, 0x5f000000);
	put_le64(rig_table + 88 + 16, 0x5f000fff);
	rig_seal();
	fake_log_reset();
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	CHECK_EQ(walk(0x200, 0x5f000000), 0);
	CHECK(strstr(fake_log, "VT-d: firmware reserved 0x5f000000-0x5f000fff for device 02:00.0, "
			       "but there is RAM; that is blocked"));
}

TEST(addresses_that_the_unit_cannot_take)
{
	struct iommu_domain *d;

	start((CAP & ~VTD_CAP_GUEST_ADDRESS) | field_put(VTD_CAP_GUEST_ADDRESS, 38), EXT);
	memset(&rig_guest, 0, sizeof(rig_guest));
	rig_range(&rig_guest, BIT(39) - MIB(2), MIB(4), RIG_RAM, false);
	CHECK(!iommu->domain_create(&rig_guest, &d, &why));
	CHECK_STR(why.text,
		  "RAM at guest-physical 0x7fffe00000 is beyond the 39 bits that devices can "
		  "address through the IOMMU");
}

TEST(messages)
{
	const struct vtd_pair *remap;
	struct iommu_domain *d;
	uint64_t address, again;
	uint32_t data;

	start(CAP, EXT);
	remap = (void *)(uintptr_t)(told.remap & ~PAGE_MASK);
	d = domain_of(&rig_guest);
	CHECK(!iommu->msi(0x10, 0, 1, 0x51, &address, &data)); /* nobody's */
	CHECK(iommu->attach(0x10, d, &why) && iommu->attach(0x200, d, &why));
	CHECK(iommu->msi(0x10, 0, 1, 0x51, &address, &data));
	CHECK_EQ(data, 0);
	CHECK(iommu->msi(0x10, 3, 2, 0x61, &again, &data));
	CHECK_EQ(data, 3);
	CHECK_EQ(again, address);
	CHECK_EQ(remap[VTD_LEGACY_INDEX].low, 0x10000510001);
	CHECK_EQ(remap[VTD_LEGACY_INDEX].high, 0x40010);
	CHECK_EQ(remap[VTD_LEGACY_INDEX + 3].low, 0x20000610001);
	CHECK_EQ(address, vtd_message_address(VTD_LEGACY_INDEX));
	told.remaps = 0; /* elsewhere: the unit may have cached the old entry */
	CHECK(iommu->msi(0x10, 0, 3, 0x52, &again, &data));
	CHECK_EQ(remap[VTD_LEGACY_INDEX].low, 0x30000520001);
	CHECK_EQ(told.remaps, 1);
	CHECK(iommu->msi(0x200, 0, 1, 0x53, &again, &data));
	CHECK_EQ(again, vtd_message_address(VTD_LEGACY_INDEX + 256));
	CHECK(!iommu->msi(0x10, 256, 1, 0x51, &again, &data));
	CHECK(!iommu->msi(0x10, 0, 256, 0x51, &again, &data));
	CHECK(iommu->attach(0x10, NULL, &why));
	CHECK_EQ(remap[VTD_LEGACY_INDEX].low | remap[VTD_LEGACY_INDEX + 3].low, 0);
	CHECK_EQ(told.remaps, 2);
	CHECK(!iommu->msi(0x10, 0, 1, 0x51, &again, &data));
	CHECK(remap[VTD_LEGACY_INDEX + 256].low != 0);
}

/* Two functions behind a bridge to PCI: what the bridge's id reaches, and whose interrupts are. */
TEST(requests_that_carry_a_bridges_id)
{
	const struct vtd_pair *remap;
	struct iommu_domain *d;
	uint64_t address, again;
	uint32_t data;

	pci_functions[0] = (struct pci_function){.bdf = 0x308, .requester = 0x200};
	pci_functions[1] = (struct pci_function){.bdf = 0x310, .requester = 0x200};
	start(CAP, EXT);
	pci_function_count = 2;
	remap = (void *)(uintptr_t)(told.remap & ~PAGE_MASK);
	d = domain_of(&rig_guest);
	CHECK(iommu->attach(0x308, d, &why) && iommu->attach(0x310, d, &why));
	CHECK_EQ(walk(0x308, 0), RIG_RAM + 1);
	CHECK_EQ(walk(0x200, 0), RIG_RAM + 1);
	CHECK(iommu_owned(0x200) && iommu_owned(0x308) && !iommu_owned(0x318));
	CHECK(iommu->msi(0x308, 0, 1, 0x51, &address, &data));
	CHECK(iommu->msi(0x310, 0, 1, 0x52, &again, &data));
	CHECK(address != again);
	CHECK_EQ(remap[VTD_LEGACY_INDEX].high, 0x80203);
	CHECK(iommu->attach(0x308, NULL, &why));
	CHECK_EQ(walk(0x308, 0), 0);
	CHECK_EQ(walk(0x200, 0), RIG_RAM + 1); /* still the other's */
	CHECK(iommu->attach(0x310, NULL, &why));
	CHECK_EQ(walk(0x200, 0), 0);
}

TEST(pins)
{
	const struct vtd_pair *remap;
	uint64_t entry;

	start(CAP, EXT);
	remap = (void *)(uintptr_t)(told.remap & ~PAGE_MASK);
	CHECK(iommu->ioapic(RIG_IOAPIC, 4, 1, 0x30, false, &entry));
	CHECK_EQ(entry, 0x0009000000000030);
	CHECK_EQ(remap[4].low, 0x10000300001);
	CHECK_EQ(remap[4].high, 0x4ff00); /* ff:00.0 */
	CHECK(iommu->ioapic(RIG_IOAPIC, 17, 0, 0x41, true, &entry));
	CHECK_EQ(entry, 0x0023000000008041);
	CHECK_EQ(remap[17].low, 0x410011);
	CHECK(!iommu->ioapic(RIG_IOAPIC + 1, 4, 1, 0x30, false, &entry));
}

TEST(interrupts_are_not_remapped_where_that_would_lose_some)
{
	uint64_t address, entry;
	uint32_t data;

	machine(CAP, EXT);
	rig_acpi.ioapics = 2;
	rig_acpi.ioapic[1].id = 9; /* not in the DMAR */
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	CHECK(!(reg(VTD_STATUS, 4) & VTD_REMAP));
	CHECK(!iommu->remaps_interrupts());
	CHECK(iommu->ioapic(9, 4, 1, 0x30, true, &entry));
	CHECK_EQ(entry, 0x0100000000008030);
	CHECK(iommu->attach(0x10, domain_of(&rig_guest), &why));
	CHECK(iommu->msi(0x10, 7, 2, 0x51, &address, &data));
	CHECK_EQ(address, 0xfee02000);
	CHECK_EQ(data, 0x51);
	start(CAP, EXT & ~VTD_EXT_REMAP);
	CHECK(!(reg(VTD_STATUS, 4) & VTD_REMAP));
	machine(CAP, EXT);
	rig_machine.x2apic = true; /* and the unit knows 8-bit APIC ids only */
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	CHECK(!(reg(VTD_STATUS, 4) & VTD_REMAP));
	machine(CAP, EXT | VTD_EXT_X2APIC);
	rig_machine.x2apic = true;
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	CHECK_EQ(told.remap & PAGE_MASK, 15 | BIT(11));
	CHECK(iommu->ioapic(RIG_IOAPIC, 4, 0x12345, 0x30, false, &entry));
}

TEST(registers_where_there_is_no_queue)
{
	start(CAP | VTD_CAP_WRITE_BUFFER, EXT & ~VTD_EXT_QUEUE);
	CHECK_EQ(told.contexts, 1);
	CHECK_EQ(told.iotlbs, 1);
	CHECK_EQ(told.waits, 0);
	CHECK_EQ(told.write_flushes, 1);
	CHECK_EQ(reg(VTD_STATUS, 4), VTD_TRANSLATE | VTD_SET_ROOT); /* remapping needs a queue */
	CHECK(iommu->attach(0x10, domain_of(&rig_guest), &why));
	CHECK_EQ(told.iotlbs, 2);
	CHECK_EQ(told.write_flushes, 2);
}

/* New interrupt entries too, which the unit cannot have cached. */
TEST(write_buffers_are_flushed)
{
	uint64_t address;
	uint32_t data;

	start(CAP | VTD_CAP_WRITE_BUFFER, EXT);
	CHECK(iommu->attach(0x10, domain_of(&rig_guest), &why));
	told.write_flushes = 0;
	CHECK(iommu->msi(0x10, 0, 1, 0x51, &address, &data));
	CHECK_EQ(told.write_flushes, 1);
}

TEST(queue_goes_round)
{
	struct iommu_domain *d;

	start(CAP, EXT);
	d = domain_of(&rig_guest);
	for (unsigned i = 0; i < 300; i++) {
		CHECK(iommu->attach(0x10, i % 2 ? d : NULL, &why));
	}
	CHECK_EQ(told.contexts, 300); /* the first was for nobody; one at the start */
	CHECK(walk(0x10, 0) != 0);
}

TEST(unit_that_stops_answering)
{
	struct iommu_domain *d;

	start(CAP, EXT);
	d = domain_of(&rig_guest);
	told.dead = true;
	CHECK(!iommu->attach(0x10, d, &why));
	CHECK(strstr(why.text, "does not invalidate what it has cached"));
}

TEST(cpus_that_interrupts_can_name)
{
	start(CAP, EXT);
	CHECK(iommu->reaches(0xfe) && !iommu->reaches(0xff) && !iommu->reaches(0x100));
	machine(CAP, EXT | VTD_EXT_X2APIC);
	rig_machine.x2apic = true;
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	CHECK(iommu->reaches(0x12345));
	machine(CAP, EXT); /* no remapping of such */
	rig_machine.x2apic = true;
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	CHECK(!iommu->reaches(0x100));
}

TEST(registers_are_told)
{
	uint64_t base, size;

	start(CAP, EXT);
	CHECK(iommu->registers(0, &base, &size));
	CHECK_EQ(base, BASE);
	CHECK_EQ(size, PAGE_SIZE);
	CHECK(!iommu->registers(1, &base, &size));
}
