/*
 * The configuration file: one source for the boot parser, the host checker (mullion-config), the
 * generated reference in docs/ and the fuzz target.
 *
 * config_parse reads text into struct config and checks everything that the text alone can tell;
 * config_check_machine checks it against a machine (CPUs, memory, files). Errors name
 * file:line:col and a hint. Nothing is half-applied: false means the whole text is refused.
 */
#pragma once

#include "hv/limits.h"
#include "hv/refuse.h"

/* Where a value stands in the text, both from 1, columns in bytes; line 0: a default. */
struct config_place {
	uint32_t line, col;
};

enum config_end { CONFIG_POWEROFF, CONFIG_REBOOT, CONFIG_HALT };
enum config_again { CONFIG_RESTART, CONFIG_STOP };
enum config_serial { SERIAL_NONE, SERIAL_COM1, SERIAL_COM2, SERIAL_COM3, SERIAL_COM4 };
enum config_tsc { TSC_CHECK, TSC_TRUST };
enum config_dma { DMA_REMAPPED, DMA_UNSAFE_IDENTITY };
enum config_dma_fault { DMA_FAULT_REPORT, DMA_FAULT_STOP };

enum {
	CONFIG_SERIAL_PORTS = 8,     /* ports of one UART */
	CONFIG_DEBUG_EXIT_PORTS = 4, /* ports of a debug-exit device, as QEMU's iosize=4 */
	CONFIG_BOCHS_SHUTDOWN = 0x8900,
};

struct config_console {
	bool framebuffer, none;
	uint16_t port[4]; /* base ports of serial consoles */
	unsigned ports;
};

struct config_system {
	bool present;
	struct config_place place;
	struct config_console console; /* default: com1 and the framebuffer */
	enum config_end when_all_stopped;
	enum config_tsc tsc;
	bool report; /* print the hardware report before the guests start */
	/* Test images: how poweroff ends an emulator that has no ACPI S5 to the taste of its script:
	 * isa-debug-exit port (0: none), and Bochs's shutdown port 0x8900. */
	uint16_t debug_exit;
	bool bochs_shutdown;
};

/* A file, named relative to the configuration. In the boot image it is known by the last part of
 * its name (config_file_base); two different files of one last part are refused. */
struct config_file {
	char name[MAX_FILE];
	char args[MAX_CMDLINE]; /* modules only: the rest of the value */
	struct config_place place;
};

/* How Mullion itself is started. */
struct config_boot {
	bool present;
	struct config_place place;
	struct config_file config; /* the configuration to read in place of this one, or no name */
	char cmdline[MAX_CMDLINE]; /* for the hypervisor; the UEFI loader hands it over */
};

struct config_range { /* ports or MMIO, base and size */
	uint64_t base, size;
	struct config_place place;
};

struct config_pci {
	uint8_t bus, device, function;
	struct config_place place;
};

struct config_guest {
	char name[MAX_NAME];
	struct config_place place;
	uint16_t cpu[MAX_VCPUS]; /* physical CPUs in the order written; the first boots */
	unsigned cpus;
	struct config_place cpus_place;
	uint64_t memory; /* bytes, a multiple of 4 KiB, at least 1 MiB */
	struct config_place memory_place;
	struct config_file kernel; /* name empty: not given */
	struct config_file initrd;
	struct config_file module[MAX_MODULES];
	unsigned modules;
	char cmdline[MAX_CMDLINE];
	/* Flat images: guest-physical load address, and entry (real mode: CS:IP = entry>>4:entry&15
	 * normalised so that CS is entry's paragraph). */
	bool flat;
	uint64_t load, entry;
	struct config_place load_place, entry_place;
	enum config_serial serial;
	struct config_range port[MAX_GUEST_PORTS];
	unsigned ports;
	struct config_range mmio[MAX_GUEST_MMIO];
	unsigned mmios;
	struct config_pci pci[MAX_GUEST_PCI];
	unsigned pcis;
	enum config_dma dma;
	enum config_dma_fault on_dma_fault; /* default report */
	enum config_again on_crash; /* default stop */
	enum config_again on_reset; /* default restart */
	uint16_t debug_exit;	    /* first of CONFIG_DEBUG_EXIT_PORTS ports, 0: none */
	struct config_place debug_exit_place;
};

struct config {
	struct config_system system;
	struct config_boot boot;
	struct config_guest guest[MAX_GUESTS];
	unsigned guests;
	char file[MAX_FILE]; /* the name for messages */
};

/*
 * Parses len bytes (no NUL needed). On false *c is not to be used. A configuration whose [boot]
 * names another one needs no guest.
 */
bool config_parse(struct config *c, const char *file, const char *text, size_t len,
		  struct refusal *r);

#define CONFIG_DEFAULT "mullion.conf"
/*
 * Parses the configuration of that name, or the one that it names in [boot]. `open` gives the text
 * of a name, or refuses.
 */
struct config_source {
	bool (*open)(void *ctx, const char *name, const char **text, size_t *len,
		     struct refusal *r);
	void *ctx;
};
bool config_choose(struct config *c, const char *name, const struct config_source *source,
		   struct refusal *r);

/*
 * What a machine offers, for config_check_machine. file_exists may be NULL: not checked; it tells
 * the file's size in bytes, 0: not known.
 */
struct config_machine {
	unsigned cpus;		/* CPUs 0..cpus-1 exist; 0: not known */
	uint64_t memory;	/* bytes usable for guests; 0: not known */
	uint64_t largest_block; /* bytes in the largest block; 0: not known */
	bool (*file_exists)(void *ctx, const char *name, uint64_t *size);
	/*
	 * What of the machine, in words, meets the addresses and is not a guest's to have (RAM,
	 * interrupt controllers); NULL: nothing. The function may be NULL: not checked.
	 */
	const char *(*mmio_taken)(void *ctx, uint64_t base, uint64_t size);
	/* Why the CPU cannot run guests; NULL: it can. The function may be NULL: not checked. */
	const char *(*cpu_unusable)(void *ctx, unsigned cpu);
	void *ctx;
	const char *machine_name; /* for messages: "this machine" */
};
bool config_check_machine(const struct config *c, const struct config_machine *m,
			  struct refusal *r);

/* "0-1,5" behind the string in text. */
void config_cpus_append(char *text, size_t size, const uint16_t *cpu, unsigned cpus);
/* The base port of a PC's serial port; 0 for SERIAL_NONE. */
uint16_t config_serial_port(enum config_serial s);
/* The last part of a file name, by which the boot image knows the file. */
const char *config_file_base(const char *name);
/* The n-th file that a guest names: kernel, initrd if there is one, modules; or NULL. */
const struct config_file *config_file_at(const struct config_guest *g, unsigned n);

/*
 * A configuration as canonical text, which parses into the same struct (but for places). Text goes
 * out in pieces through `put`, newlines included.
 */
void config_dump(const struct config *c, void (*put)(void *ctx, const char *text), void *ctx);
