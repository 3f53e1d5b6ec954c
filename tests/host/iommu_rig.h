/*
 * What the tests of both IOMMU drivers share: an ACPI table by hand, config space with bridges, a
 * guest's memory, and the machine around them.
 */
#pragma once

#include "drivers/iommu.h"
#include "hv/lib/bytes.h"
#include "tests/fake/fake_host.h"
#include "tests/fake/fake_pci.h"
#include "tests/host/test.h"

static uint8_t rig_table[4096];
static struct acpi_info rig_acpi;
static struct iommu_machine rig_machine;
static struct refusal why;
static struct addrspace rig_guest, rig_other;

enum { RIG_RAM = 0x40000000, RIG_OTHER = 0x50000000, RIG_IOAPIC = 5 };

static const void *rig_map(void *ctx, hpa_t at, uint64_t len)
{
	(void)ctx;
	return at.v == 0x1000 && len <= sizeof(rig_table) ? rig_table : NULL;
}

/* RAM of the machine as the loader tells it. */
static const char *rig_memory(void *ctx, uint64_t base, uint64_t size)
{
	(void)ctx;
	return base < 0x60000000 && base + size > 0x100000 ? "RAM" : NULL;
}

static uint8_t *rig_append(const void *bytes, uint32_t len)
{
	uint32_t old = get_le32(rig_table + 4);

	memcpy(rig_table + old, bytes, len);
	put_le32(rig_table + 4, old + len);
	return rig_table + old;
}

static void rig_seal(void)
{
	rig_table[9] = 0;
	rig_table[9] = (uint8_t)-bytes_sum(rig_table, get_le32(rig_table + 4));
}

/* 00:1c.0 is a bridge to buses 2-3. */
static void rig_bridge(void)
{
	struct fake_function *f;

	fake_pci_reset();
	f = fake_pci_add(0xe0, 0x12348086, 0x06040000);
	fake_pci_set(f, PCI_HEADER_TYPE, 1, 1);
	fake_pci_set(f, PCI_BUSES, 4, 0x00030200);
}

static void rig_range(struct addrspace *as, uint64_t base, uint64_t size, uint64_t to, bool mmio)
{
	struct addr_range r = {.base = gpa(base), .size = size, .hpa = hpa(to), .writable = true};

	r.uncached = mmio;
	r.ptr = mmio ? NULL : (void *)(uintptr_t)to;
	CHECK(addrspace_add(as, &r, &why));
}

static void rig_reset(const char *table)
{
	fake_host_reset();
	rig_bridge();
	memset(&why, 0, sizeof(why));
	memset(rig_table, 0, sizeof(rig_table));
	memcpy(rig_table, table, 4);
	put_le32(rig_table + 4, 48);
	rig_acpi = (struct acpi_info){.tables = 1, .ioapics = 1};
	memcpy(rig_acpi.table[0].name, table, 4);
	rig_acpi.table[0].at = hpa(0x1000);
	rig_acpi.ioapic[0].id = RIG_IOAPIC;
	rig_machine = (struct iommu_machine){
		.acpi = &rig_acpi, .map = rig_map, .memory = rig_memory};
	memset(&rig_guest, 0, sizeof(rig_guest));
	memset(&rig_other, 0, sizeof(rig_other));
	rig_range(&rig_guest, 0, 0xa0000, RIG_RAM, false);
	rig_range(&rig_guest, 0xc0000, MIB(16) - 0xc0000, RIG_RAM + 0xc0000, false);
	rig_range(&rig_guest, 0xfd000000, 0x1000, 0xfd000000, true);
	rig_range(&rig_other, 0, MIB(4), RIG_OTHER, false);
}
