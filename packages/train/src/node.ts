// What only Node can do. One line a module, so that several people can add modules at once.
export {};
