/*
 * `mullion-config devices`: the PCI functions of a Linux host as lines of a configuration.
 */
#pragma once

/* Reads the sysfs that is mounted at `sysfs` and prints to stdout. False: told to stderr why not.
 */
bool devices_print(const char *sysfs);
