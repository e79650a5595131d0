export declare const includeFolders: string;
export declare const exportsMap: string;
