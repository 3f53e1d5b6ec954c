/*
 * Serial ports other than COM1 to COM4: those of the firmware's tables and of PCI, offered to
 * console.c. Called by main.c on the boot CPU; no state.
 */
#include "arch/x86_64/paging.h"
#include "boot/console.h"
#include "boot/memory.h"
#include "drivers/acpi_serial.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/lib/printf.h"
#include "hv/log.h"
#include "hv/pci.h"

/* Class 07 "simple communication controller", subclass 00 "serial", interface 02 to 06: a 16550. */
enum { CLASS_SERIAL = 0x0700, INTERFACE_16550 = 0x02, INTERFACE_16950 = 0x06 };

static void tell(const char *line)
{
	log_line("%s", line);
}

void serials_of_tables(const struct boot_info *b, const struct acpi_info *a)
{
	uint64_t end = cpu_address_limit();
	struct acpi_serial found[ACPI_SERIALS];
	unsigned n = acpi_find_serials(found, a, paging_map_firmware, NULL, tell);

	for (unsigned i = 0; i < n; i++) {
		const struct acpi_serial *f = &found[i];
		struct uart u = {.stride = f->stride, .width = f->width, .keep_speed = true};
		char name[40];

		fmt_print(name, sizeof(name), "%s 0x%lx (%s)", f->memory ? "MMIO" : "port", f->base,
			  f->table);
		if (!f->memory) {
			u.port = (uint16_t)f->base;
		} else if (f->base >= end || UART_REGISTERS * u.stride > end - f->base) {
			log_line("console: %s is beyond this CPU's addresses", name);
			continue;
		} else if (memory_meets(b, f->base, UART_REGISTERS * u.stride)) {
			log_line("console: %s is memory", name);
			continue;
		} else {
			u.mmio = host_map_mmio(hpa(f->base), UART_REGISTERS * u.stride);
		}
		console_offer(&u, name, f->base);
	}
}

/* Its first BAR is registers in ports. Decoding may be off: firmware did not boot from it. */
static void offer_function(const struct pci_function *f)
{
	uint32_t command = pci_read(f->bdf, PCI_COMMAND, 2);
	struct uart u = {.port = (uint16_t)f->bar[0].base, .stride = 1, .width = 1};
	char name[40];

	fmt_print(name, sizeof(name), "port 0x%x (PCI %02x:%02x.%x)", u.port, BDF_PARTS(f->bdf));
	pci_write(f->bdf, PCI_COMMAND, 2, command | PCI_COMMAND_IO);
	console_offer(&u, name, u.port);
}

/* One without an address would be decoded at port 0. */
static bool all_have_ports(const struct pci_function *f)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (f->bar[i].io && f->bar[i].size && !f->bar[i].base) {
			return false;
		}
	}
	return true;
}

void serials_of_pci(void)
{
	for (unsigned i = 0; i < pci_function_count; i++) {
		const struct pci_function *f = &pci_functions[i];
		unsigned interface = f->class_revision >> 8 & 0xff;

		if (f->class_revision >> 16 == CLASS_SERIAL && f->header_type == 0 &&
		    interface >= INTERFACE_16550 && interface <= INTERFACE_16950 && f->bar[0].io &&
		    f->bar[0].size >= UART_REGISTERS && all_have_ports(f)) {
			offer_function(f);
		}
	}
}
