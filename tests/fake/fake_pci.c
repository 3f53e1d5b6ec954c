/*
 * See fake_pci.h.
 */
#include "tests/fake/fake_pci.h"
#include "drivers/pci_access.h"
#include <string.h>

enum { PCIE_CONTROL_DEFAULT = 0x2810 /* reads of 512 bytes, payloads of 128 */ };

struct fake_function fake_pci[FAKE_FUNCTIONS];
unsigned fake_pci_count, fake_pci_waited_ms, fake_pci_last_bus, fake_pci_deaf_bus;

void fake_pci_reset(void)
{
	memset(fake_pci, 0, sizeof(fake_pci));
	fake_pci_count = fake_pci_waited_ms = pci_function_count = fake_pci_last_bus = 0;
	fake_pci_deaf_bus = 256;
}

void fake_pci_set(struct fake_function *f, unsigned offset, unsigned size, uint32_t value)
{
	memcpy(f->config + offset, &value, size);
}

uint32_t fake_pci_get(const struct fake_function *f, unsigned offset, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, f->config + offset, size);
	return v;
}

static void allow(struct fake_function *f, unsigned offset, unsigned size, uint32_t mask)
{
	memcpy(f->writable + offset, &mask, size);
}

struct fake_function *fake_pci_add(uint16_t bdf, uint32_t id, uint32_t class_revision)
{
	struct fake_function *f = &fake_pci[fake_pci_count++];

	f->bdf = bdf;
	fake_pci_set(f, PCI_VENDOR, 4, id);
	fake_pci_set(f, PCI_CLASS_REVISION, 4, class_revision);
	allow(f, PCI_COMMAND, 2, 0x547);
	allow(f, PCI_CACHE_LINE, 2, 0xffff);
	allow(f, PCI_LINE, 1, 0xff);
	return f;
}

void fake_pci_bar(struct fake_function *f, unsigned bar, uint64_t size, uint32_t bits,
		  uint64_t base)
{
	unsigned reg = PCI_BAR0 + 4 * bar;

	fake_pci_set(f, reg, 4, (uint32_t)base | bits);
	allow(f, reg, 4, (uint32_t)(~(size - 1) & (bits & PCI_BAR_IO ? 0xfffc : ~15ull)));
	if (!(bits & PCI_BAR_IO) && (bits & PCI_BAR_WIDE)) {
		fake_pci_set(f, reg + 4, 4, (uint32_t)(base >> 32));
		allow(f, reg + 4, 4, (uint32_t)(~(size - 1) >> 32));
	}
}

void fake_pci_capability(struct fake_function *f, unsigned at, unsigned id, unsigned len)
{
	fake_pci_set(f, at, 1, id);
	f->config[at + 1] = f->config[PCI_CAPABILITIES];
	f->config[PCI_CAPABILITIES] = (uint8_t)at;
	fake_pci_set(f, PCI_STATUS, 2, fake_pci_get(f, PCI_STATUS, 2) | PCI_STATUS_CAPABILITIES);
	memset(f->writable + at + 2, 0xff, len - 2);
	f->pcie = id == PCI_CAP_PCIE ? (uint16_t)at : f->pcie;
	f->pm = id == PCI_CAP_PM ? (uint16_t)at : f->pm;
	f->af = id == PCI_CAP_AF ? (uint16_t)at : f->af;
}

static struct fake_function *find(uint16_t bdf)
{
	for (unsigned i = 0; i < fake_pci_count; i++) {
		struct fake_function *f = &fake_pci[i];

		if (f->bdf == bdf) {
			f->accesses++;
			return f->dies_after && f->accesses > f->dies_after ? NULL : f;
		}
	}
	return NULL;
}

uint32_t pci_read(uint16_t bdf, unsigned offset, unsigned size)
{
	const struct fake_function *f = find(bdf);

	return f ? fake_pci_get(f, offset, size) : ~0u >> (32 - 8 * size);
}

/* Clears what a reset clears. */
static void clear(struct fake_function *f)
{
	for (unsigned i = 0; i < 6; i++) {
		fake_pci_set(f, PCI_BAR0 + 4 * i, 4, fake_pci_get(f, PCI_BAR0 + 4 * i, 4) & 15);
	}
	fake_pci_set(f, PCI_COMMAND, 2, 0);
	if (f->acs) {
		fake_pci_set(f, f->acs + ACS_CONTROL, 2, 0);
	}
	if (f->pcie) {
		fake_pci_set(f, f->pcie + PCIE_DEVICE_CONTROL, 2, PCIE_CONTROL_DEFAULT);
	}
}

static void notice_bus(const struct fake_function *bridge, unsigned offset, uint32_t value)
{
	unsigned bus = bridge->config[PCI_BUSES + 1];

	for (unsigned i = 0; i < fake_pci_count; i++) {
		if (bridge->config[PCI_HEADER_TYPE] == 1 && offset == PCI_BRIDGE_CONTROL &&
		    (value & 1 << 6) && fake_pci[i].bdf >> 8 == bus) {
			clear(&fake_pci[i]);
		}
	}
}

static void notice(struct fake_function *f, unsigned offset, uint32_t value, bool slept)
{
	bool reset = false;

	if (f->pcie && offset == f->pcie + 0u + PCIE_DEVICE_CONTROL && (value & PCIE_FLR)) {
		f->flrs++;
		reset = true;
	}
	if (f->af && offset == f->af + 4u && (value & 1)) {
		f->flrs++;
		reset = true;
	}
	if (f->pm && offset == f->pm + 0u + PM_CONTROL) {
		f->d3s += (value & 3) == 3;
		reset = slept && !(value & 3) && !f->keeps_d3;
	}
	if (reset) {
		clear(f);
	}
	notice_bus(f, offset, value);
}

void pci_write(uint16_t bdf, unsigned offset, unsigned size, uint32_t value)
{
	struct fake_function *f = find(bdf);
	uint32_t before;
	bool slept;

	if (!f) {
		return;
	}
	f->writes++;
	slept = f->pm && (fake_pci_get(f, f->pm + PM_CONTROL, 2) & 3) == 3;
	before = fake_pci_get(f, f->watched, 2);
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = f->writable[offset + i];

		f->config[offset + i] = (uint8_t)((f->config[offset + i] & ~mask) |
						  ((value >> 8 * i) & mask));
	}
	f->seen |= fake_pci_get(f, PCI_COMMAND, 2);
	f->changes += fake_pci_get(f, f->watched, 2) != before;
	notice(f, offset, value, slept);
}

void pci_access_init(const struct acpi_info *a)
{
	(void)a;
}

bool pci_access_extended(void)
{
	return true;
}

bool pci_access_agrees(uint16_t bdf)
{
	return bdf >> 8 != fake_pci_deaf_bus;
}

unsigned pci_access_last_bus(void)
{
	return fake_pci_last_bus;
}

void pci_delay_us(unsigned microseconds)
{
	fake_pci_waited_ms += microseconds / 1000;
}
