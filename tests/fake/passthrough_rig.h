/*
 * A guest that owns a card, on fake hardware, for the tests of hv/passthrough*.c. One at a time.
 */
#pragma once

#include "drivers/pci_access.h"
#include "hv/passthrough_part.h"
#include "hv/pci_text.h"
#include "tests/fake/fake_host.h"
#include "tests/fake/fake_pci.h"
#include "tests/fake/fake_virt.h"

enum { BAR0 = 0xfeb80000, TABLE = 0x2000, ENTRIES = 5 };
enum { PIN_MASKED = 1 << 16, PIN_LEVEL = 1 << 15 }; /* of a redirection entry */

extern const struct acpi_info no_acpi;
extern struct partition *p;
extern struct vcpu *v;
extern struct vpci_function *f;
extern struct fake_function *hw; /* the card behind f */

/* A card with all that matters: memory, I/O, small, wide BARs; MSI with 4 vectors, MSI-X, PM, PCIe.
 */
struct fake_function *card(uint16_t bdf, unsigned line);
/* A guest of two vCPUs with these lines in its section; f is its first function. */
void start_with(const char *extra);
/* One with the card at 00:03.0 and interrupt line 11. */
void start(void);
/* f's config space, and the guest's memory, as the guest reaches them. */
uint32_t in(unsigned reg, unsigned size);
void out(unsigned reg, unsigned size, uint32_t value);
uint64_t memory_in(uint64_t at, unsigned size);
void memory_out(uint64_t at, unsigned size, uint64_t value);
/* Is this guest-physical address in the second-level tables? */
bool mapped(uint64_t at);
/* What stands in a BAR of the device, and a word of its MSI-X table. */
uint8_t *device(unsigned bar, uint64_t offset);
uint32_t entry(unsigned i, unsigned word);
/* As a driver programs an MSI-X entry, and a pin of the I/O APIC. */
void write_entry(unsigned i, uint64_t address, uint32_t data, uint32_t control);
void write_pin(unsigned pin, uint32_t low);
/* The physical vector of line 11. */
uint8_t line_vector(void);
