/*
 * The hypervisor's serial consoles: where host_console_write and its fellows go.
 */
#pragma once

#include "boot/boot_info.h"
#include "drivers/acpi.h"
#include "drivers/uart16550.h"

enum { CONSOLES = 4 };

struct console_list {
	uint16_t port[CONSOLES];
	unsigned ports;
	bool screen; /* the loader's screen, too */
};

/*
 * The consoles that a command line asks for: `console=` with com1 to com4, a port as 0x3f8, or
 * framebuffer, or none, several separated by commas. Without one: COM1 and the screen. False: a
 * word that is not understood, put into bad.
 */
bool console_parse(struct console_list *c, const char *cmdline, char bad[32]);

/*
 * Sets the serial ports up and writes there from now on, all of the log so far first where nothing
 * was written yet. Boot CPU.
 */
void console_use(const struct console_list *c);
/*
 * A serial port that tables or PCI name: it is used when ports are wanted, but none of them answers.
 * base: its first register, a port or a physical address. Boot CPU.
 */
void console_offer(const struct uart *u, const char *name, uint64_t base);
/* A guest gets this PCI function: it is no console any more. Boot CPU. */
void console_withdraw(uint16_t bdf);
/* The ports that are in use, but for those in memory. */
void console_used(struct console_list *c);
/* The name of the i-th port that is in use; NULL: there are no more. */
const char *console_name(unsigned i);
/* Waits until everything that was put is out on the wires, for a bounded time. */
void console_drain(void);
/* Boot CPU: how the ports' interrupts reach the I/O APIC; for host_console_watch. */
void console_use_interrupts(const struct acpi_info *a);

/* --- serials.c: ports beyond COM1 to COM4, for machines that have no other --- */

/* Those that SPCR and DBG2 name; own page tables are in use. */
void serials_of_tables(const struct boot_info *b, const struct acpi_info *a);
/* Those on PCI; after pci_enumerate. */
void serials_of_pci(void);
